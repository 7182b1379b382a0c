//! Charts as inline SVG: axes, lines and the heat map. All coordinates are numbers made here, so nothing needs escaping but
//! labels, which are made here too.

use std::fmt::Write as _;

/// Wide enough for a phone at its own size, so that text keeps it there.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 210.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 20.0;

/// What is drawn along one side.
pub(in crate::report) struct Axis {
    from: f64,
    to: f64,
    /// Where a mark stands, and what it says.
    marks: Vec<(f64, String)>,
}

impl Axis {
    pub(super) fn new(from: f64, to: f64, marks: Vec<(f64, String)>) -> Self {
        Self { from, to, marks }
    }

    /// From nothing to at least `most`, in four to six equal steps of 1, 2 or 5 times a power of ten.
    pub(in crate::report) fn linear(most: f64, label: impl Fn(f64) -> String) -> Self {
        let step = step(most / 5.0);
        let count = (most / step).ceil().max(1.0);
        let marks = (0..=count as u32).map(|mark| f64::from(mark) * step);
        Self {
            from: 0.0,
            to: step * count,
            marks: marks.map(|value| (value, label(value))).collect(),
        }
    }

    /// Of decimal logarithms, with a mark at each power of ten, and at twice and five times it where these are few.
    pub(in crate::report) fn logarithmic(
        low: f64,
        high: f64,
        label: impl Fn(f64) -> String,
    ) -> Self {
        let (low, high) = (low.max(1e-3), high.max(low * 1.5).max(1.5e-3));
        let (from, to) = (low.log10() - 0.03, high.log10() + 0.03);
        let factors: &[f64] = if to - from > 2.5 {
            &[1.0]
        } else {
            &[1.0, 2.0, 5.0]
        };
        let decades = (from.floor() as i32)..=(to.ceil() as i32);
        let marks = decades
            .flat_map(|decade| {
                factors
                    .iter()
                    .map(move |factor| factor * 10_f64.powi(decade))
            })
            .filter(|value| (from..=to).contains(&value.log10()))
            .map(|value| (value.log10(), label(value)))
            .collect();
        Self { from, to, marks }
    }

    fn share(&self, value: f64) -> f64 {
        ((value - self.from) / (self.to - self.from).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0)
    }
}

/// 1, 2 or 5 times a power of ten, at least so large.
fn step(least: f64) -> f64 {
    if least <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powi(least.log10().floor() as i32);
    [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| *step >= least * 0.999_999)
        .unwrap_or(10.0 * power)
}

/// Marks of a time in seconds along the bottom.
pub(super) fn seconds(end: f64) -> Axis {
    let mut axis = Axis::linear(end, |second| format!("{} s", second.round()));
    if end < 5.0 {
        axis = Axis::linear(end, |second| format!("{second:.1} s"));
    }
    axis.to = end.max(1e-3);
    axis.marks.retain(|(second, _)| *second <= end);
    axis
}

/// A chart that is being drawn.
pub(in crate::report) struct Chart {
    x: Axis,
    y: Axis,
    svg: String,
}

impl Chart {
    pub(in crate::report) fn new(title: &str, x: Axis, y: Axis) -> Self {
        let mut svg =
            format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">");
        let chart = Self {
            x,
            y,
            svg: String::new(),
        };
        let mut net = String::new();
        // Writing to a String cannot fail.
        for (value, label) in &chart.y.marks {
            let y = chart.at_y(*value);
            let _ = write!(net, "M{LEFT} {y:.1}H{:.1}", WIDTH - RIGHT);
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                LEFT - 4.0,
                y + 3.0
            );
        }
        for (at, (value, label)) in chart.x.marks.iter().enumerate() {
            let x = chart.at_x(*value);
            let is_last = at + 1 == chart.x.marks.len() && x > WIDTH - RIGHT - 12.0;
            let anchor = if is_last { "end" } else { "middle" };
            let end = if is_last { WIDTH - 1.0 } else { x };
            let _ = write!(net, "M{x:.1} {TOP}V{:.1}", HEIGHT - BOTTOM);
            let _ = write!(
                svg,
                "<text x=\"{end:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{label}</text>",
                HEIGHT - 6.0
            );
        }
        let _ = write!(svg, "<path class=\"net\" d=\"{net}\"/>");
        Self { svg, ..chart }
    }

    fn at_x(&self, value: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * self.x.share(value)
    }

    fn at_y(&self, value: f64) -> f64 {
        TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - self.y.share(value))
    }

    /// A line through points; one that is `None` leaves a gap.
    pub(in crate::report) fn line(
        &mut self,
        class: &str,
        points: impl Iterator<Item = (f64, Option<f64>)>,
    ) {
        let mut path = String::new();
        let mut is_down = false;
        for (x, y) in points {
            let Some(y) = y else {
                is_down = false;
                continue;
            };
            let letter = if is_down { 'L' } else { 'M' };
            let (x, y) = (self.at_x(x), self.at_y(y));
            // A point of its own is a short stroke, for a path of one point draws nothing.
            let dot = if is_down { "" } else { "h.01" };
            let _ = write!(path, "{letter}{x:.1} {y:.1}{dot}");
            is_down = true;
        }
        let _ = write!(
            self.svg,
            "<path class=\"line {class}\" stroke-linecap=\"round\" d=\"{path}\"/>"
        );
    }

    /// An upright stroke with ends, from `low` to `high`.
    pub(in crate::report) fn whisker(&mut self, class: &str, x: f64, low: f64, high: f64) {
        let (x, low, high) = (self.at_x(x), self.at_y(low), self.at_y(high));
        let _ = write!(
            self.svg,
            "<path class=\"line {class}\" d=\"M{:.1} {low:.1}h6m-3 0V{high:.1}m-3 0h6\"/>",
            x - 3.0
        );
    }

    /// Rectangles of one shade, 0 to 1.
    pub(super) fn cells(&mut self, shade: f64, cells: &[[f64; 4]]) {
        let mut path = String::new();
        for [left, right, low, high] in cells {
            let (left, right) = (self.at_x(*left), self.at_x(*right));
            let (bottom, top) = (self.at_y(*low), self.at_y(*high));
            let _ = write!(
                path,
                "M{left:.1} {top:.1}H{right:.1}V{bottom:.1}H{left:.1}z"
            );
        }
        let _ = write!(
            self.svg,
            "<path class=\"heat\" fill-opacity=\"{shade:.2}\" d=\"{path}\"/>"
        );
    }

    pub(in crate::report) fn end(mut self) -> String {
        self.svg.push_str("</svg>");
        self.svg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_few() {
        for most in [0.0, 0.003, 0.9, 1.0, 7.0, 999.0, 123_456.0] {
            let axis = Axis::linear(most, |value| value.to_string());
            assert!(axis.to >= most && axis.to > 0.0, "{most}");
            assert!(
                (2..=7).contains(&axis.marks.len()),
                "{most}: {:?}",
                axis.marks
            );
        }
        for (low, high) in [
            (0.0, 0.0),
            (0.04, 0.05),
            (1.0, 1.0),
            (0.1, 30.0),
            (0.05, 3_600_000.0),
        ] {
            let axis = Axis::logarithmic(low, high, |value| value.to_string());
            assert!(
                (1..=10).contains(&axis.marks.len()),
                "{low} {high}: {:?}",
                axis.marks
            );
            assert!(axis.from < axis.to);
        }
    }

    #[test]
    fn nothing_is_drawn_outside_whatever_the_values() {
        let axis = || Axis::linear(10.0, |value| value.to_string());
        let mut chart = Chart::new("a", axis(), axis());
        let values = [f64::NEG_INFINITY, -5.0, 0.0, 5.0, 50.0, f64::INFINITY];
        chart.line("one", values.iter().map(|value| (*value, Some(*value))));
        chart.cells(0.5, &[[0.0, 100.0, -100.0, 100.0]]);
        let svg = chart.end();
        let numbers = svg.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'));
        for number in numbers.filter_map(|number| number.parse::<f64>().ok()) {
            assert!((-3.0..=WIDTH).contains(&number), "{number} in {svg}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}

//! What the page draws.

use std::collections::BTreeSet;

use hdrhistogram::Histogram;

use super::chart::{Axis, Chart, seconds};
use crate::confidence::Estimate;
use crate::report::results::Results;
use crate::report::text::{escaped, figure, time};
use crate::series::Interval;

/// Points of a line of percentiles.
const POINTS: u32 = 160;
/// The most columns of the heat map: seconds share one beyond.
const COLUMNS: usize = 60;
/// Rows of the heat map.
const ROWS: usize = 24;
/// Shades of the heat map.
const SHADES: usize = 8;

pub(in crate::report) fn key(entries: &[(&str, &str)]) -> String {
    let entries: String = entries
        .iter()
        .map(|(class, label)| format!("<span><i class=\"{class}\"></i>{label}</span>"))
        .collect();
    format!("<p class=\"key\">{entries}</p>")
}

/// How far along the axis a quantile lies: 90 % at 1, 99 % at 2, 99.9 % at 3.
fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}

/// Latency by percentile, with the 95 % intervals. It ends where one answer decides.
pub(super) fn percentiles(results: &Results) -> String {
    let report = &results.report;
    let response = report.histograms.response.unpacked();
    let (estimates, service) = results.estimates();
    let end = (response.len() as f64).log10().clamp(1.0, 6.0);
    let marks = [
        (nines(0.5), "50"),
        (1.0, "90"),
        (2.0, "99"),
        (3.0, "99.9"),
        (4.0, "99.99"),
        (5.0, "99.999"),
        (6.0, "99.9999"),
    ];
    let marks = marks
        .into_iter()
        .filter(|(at, _)| *at <= end)
        .map(|(at, label)| (at, format!("{label} %")))
        .collect();
    let low = if service.is_some() && report.service.count > 0 {
        report.service.min_ms.min(report.response.min_ms)
    } else {
        report.response.min_ms
    };
    let mut chart = Chart::new(
        "Latency by percentile",
        Axis::new(0.0, end, marks),
        Axis::logarithmic(low, report.response.max_ms, time),
    );
    if service.is_some() {
        chart.line(
            "two",
            by_percentile(&report.histograms.service.unpacked(), end),
        );
    }
    chart.line("one", by_percentile(&response, end));
    for Estimate {
        percentile,
        low_ms,
        high_ms,
        ..
    } in &estimates
    {
        if let (Some(low), Some(high)) = (low_ms, high_ms) {
            let at = nines(percentile / 100.0);
            chart.whisker("one", at, low.log10(), high.log10());
        }
    }
    let mut entries = vec![("one", "response, with 95 % intervals")];
    if service.is_some() {
        entries.push(("two", "service"));
    }
    format!(
        "<h2>Latency by percentile</h2>{}{}",
        chart.end(),
        key(&entries)
    )
}

fn by_percentile(of: &Histogram<u64>, end: f64) -> impl Iterator<Item = (f64, Option<f64>)> {
    (0..=POINTS).map(move |point| {
        let at = end * f64::from(point) / f64::from(POINTS);
        let us = of.value_at_quantile(1.0 - 10_f64.powf(-at));
        (at, (us > 0).then(|| (us as f64 / 1e3).log10()))
    })
}

/// Rate and errors over time. A last part of a second is too short for a rate.
pub(super) fn rate(results: &Results) -> String {
    let intervals = results.report.intervals.iter();
    let seconds_of: Vec<&Interval> = intervals
        .filter(|second| second.duration_s >= 0.5)
        .collect();
    let by_second = |count: fn(&Interval) -> u64| {
        let points = seconds_of.iter().map(move |second| {
            let middle = second.until_s - second.duration_s / 2.0;
            (middle, Some(count(second) as f64 / second.duration_s))
        });
        points.collect::<Vec<_>>()
    };
    let (good, bad) = (
        by_second(|second| second.ok),
        by_second(|second| second.errors),
    );
    let most = good
        .iter()
        .chain(&bad)
        .filter_map(|(_, rate)| *rate)
        .fold(0.0, f64::max);
    let mut chart = Chart::new(
        "Rate and errors over time",
        seconds(results.report.elapsed_s),
        Axis::linear(most, figure),
    );
    chart.line("err", bad.into_iter());
    chart.line("one", good.into_iter());
    format!(
        "<h2>Answers a second</h2>{}{}",
        chart.end(),
        key(&[("one", "good"), ("err", "errors")])
    )
}

/// What the target told of itself, a picture for each name.
pub(super) fn observed(results: &Results) -> Vec<String> {
    let intervals = &results.report.intervals;
    let names: BTreeSet<&String> = intervals
        .iter()
        .flat_map(|second| second.observed.keys())
        .collect();
    let picture = |name: &String| {
        let points = intervals.iter().map(|second| {
            let middle = second.until_s - second.duration_s / 2.0;
            (middle, second.observed.get(name).copied())
        });
        let most = points
            .clone()
            .filter_map(|(_, value)| value)
            .fold(0.0, f64::max);
        let title = escaped(name);
        let mut chart = Chart::new(
            &title,
            seconds(results.report.elapsed_s),
            Axis::linear(most, figure),
        );
        chart.line("one", points);
        format!("<h2>The target: {title}</h2>{}", chart.end())
    };
    names.into_iter().map(picture).collect()
}

/// Percentiles of each second.
pub(super) fn latency(results: &Results) -> String {
    let intervals = &results.report.intervals;
    let answered = || intervals.iter().filter(|second| second.ok > 0);
    let low = answered()
        .map(|second| second.p50_ms)
        .fold(f64::INFINITY, f64::min);
    let high = answered().map(|second| second.p99_ms).fold(0.0, f64::max);
    let mut chart = Chart::new(
        "Latency over time",
        seconds(results.report.elapsed_s),
        Axis::logarithmic(low, high, time),
    );
    for (at, class) in ["three", "two", "one"].into_iter().enumerate() {
        let points = intervals.iter().map(|second| {
            let middle = second.until_s - second.duration_s / 2.0;
            (
                middle,
                (second.ok > 0).then(|| [second.p99_ms, second.p95_ms, second.p50_ms][at].log10()),
            )
        });
        chart.line(class, points);
    }
    format!(
        "<h2>Response times by the second</h2>{}{}",
        chart.end(),
        key(&[
            ("one", "median"),
            ("two", "95th"),
            ("three", "99th percentile")
        ])
    )
}

/// How many answers took how long, and when.
pub(super) fn heat_map(results: &Results) -> String {
    let report = &results.report;
    let intervals = &report.intervals;
    let axis = || Axis::logarithmic(report.response.min_ms, report.response.max_ms, time);
    let mut chart = Chart::new(
        "Heat map of response times",
        seconds(report.elapsed_s),
        axis(),
    );
    let (low, high) = (
        report.response.min_ms.log10(),
        report.response.max_ms.log10(),
    );
    let height = ((high - low) / ROWS as f64).max(1e-3);
    let mut columns = Vec::new();
    for group in intervals.chunks(intervals.len().div_ceil(COLUMNS).max(1)) {
        let mut counts = [0_u64; ROWS];
        for (us, count) in group.iter().flat_map(|second| second.response.counts()) {
            let row = ((us as f64 / 1e3).log10() - low) / height;
            counts[(row.max(0.0) as usize).min(ROWS - 1)] += count;
        }
        let ends = (group.first(), group.last());
        if let (Some(first), Some(last)) = ends {
            columns.push((first.until_s - first.duration_s, last.until_s, counts));
        }
    }
    // By answers a second, so that a last part of one is not pale for being short.
    let density = |(begin, end, counts): &(f64, f64, [u64; ROWS]), row: usize| {
        counts[row] as f64 / (end - begin).max(0.1)
    };
    let rows = || {
        columns
            .iter()
            .flat_map(|column| (0..ROWS).map(move |row| (column, row)))
    };
    let most = rows()
        .map(|(column, row)| density(column, row))
        .fold(0.0, f64::max);
    let mut shades = vec![Vec::new(); SHADES];
    for (column, row) in rows() {
        let value = density(column, row);
        if value > 0.0 {
            // The root, so that the few that are slow can be seen beside the many.
            let shade = ((value / most).sqrt() * SHADES as f64).ceil() as usize;
            let from = low + height * row as f64;
            shades[shade.clamp(1, SHADES) - 1].push([column.0, column.1, from, from + height]);
        }
    }
    for (shade, cells) in shades
        .iter()
        .enumerate()
        .filter(|(_, cells)| !cells.is_empty())
    {
        chart.cells((shade + 1) as f64 / SHADES as f64, cells);
    }
    format!(
        "<h2>Heat map</h2>{}<p class=\"soft\">The stronger the colour, the more answers took so long at that time.</p>",
        chart.end()
    )
}

//! A run beside an earlier one.

use std::fmt::Write as _;
use std::path::Path;

use pitcrew_load::{Comparison, Movement, Results, Tolerance, compare};

use super::{BROKEN, LATE, files, say};

pub(super) const USUAL_SMALL_PERCENT: f64 = 5.0;

pub(super) fn files(baseline: &Path, result: &Path, small_percent: f64) -> Result<u8, String> {
    if !(0.0..=100.0).contains(&small_percent) {
        return Err("--small wants 0 to 100 per cent".to_owned());
    }
    let (before, after) = (files::read(baseline)?, files::read(result)?);
    results(&before, &after, small_percent)
}

/// Prints what moved, of the whole and of each scenario that both have. 0 where nothing became worse, 1 where something did, 3
/// where that cannot be said.
pub(super) fn results(before: &Results, after: &Results, small_percent: f64) -> Result<u8, String> {
    let mut text = String::new();
    let mut codes = vec![one(&mut text, before, after, small_percent)];
    for scenario in &after.scenarios {
        let mut others = before.scenarios.iter();
        if let Some(before) = others.find(|before| before.name == scenario.name) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "\nScenario {}", scenario.name);
            codes.push(one(&mut text, before, scenario, small_percent));
        }
    }
    say(&text)?;
    let has = |code| codes.contains(&code);
    let code = [BROKEN, LATE].into_iter().find(|code| has(*code));
    Ok(code.unwrap_or(0))
}

fn one(text: &mut String, before: &Results, after: &Results, small_percent: f64) -> u8 {
    let compared = compare(
        &before.report.intervals,
        &after.report.intervals,
        &Tolerance { small_percent },
    );
    let _ = writeln!(
        text,
        "\n{:<15}{:>12}{:>12}  change, 99 % interval",
        "", "before", "after"
    );
    for comparison in &compared {
        text.push_str(&line(comparison));
        text.push('\n');
    }
    if before.plan != after.plan {
        text.push_str("The plans differ, so the target need not be what changed.\n");
    }
    let is_late = |results: &Results| results.report.generator_limited.is_some();
    if is_late(before) || is_late(after) {
        text.push_str(
            "The tester was late in one of the runs, so nothing can be said of the target.\n",
        );
        return LATE;
    }
    code(&compared)
}

fn code(compared: &[Comparison]) -> u8 {
    let has = |movement| compared.iter().any(|one| one.movement == movement);
    if has(Movement::Worse) {
        BROKEN
    } else if has(Movement::TooShort) || has(Movement::Unclear) {
        LATE
    } else {
        0
    }
}

fn line(comparison: &Comparison) -> String {
    let word = match comparison.movement {
        Movement::Better => "better",
        Movement::Worse => "WORSE",
        Movement::Same => "the same",
        Movement::Unclear => {
            "unclear: the noise is wider than what matters, a longer run would tell"
        }
        Movement::TooShort => "too short: both runs want twenty seconds with answers",
    };
    let change = comparison
        .change_percent
        .map(|change| {
            format!(
                "{:+.1} % ({:+.1} to {:+.1}) ",
                change.value, change.low, change.high
            )
        })
        .unwrap_or_default();
    let unit = match comparison.metric {
        "rate" => "/s",
        "success_percent" => "%",
        _ => "ms",
    };
    format!(
        "{:<15}{:>10.3}{unit:<2}{:>10.3}{unit:<2}  {change}{word}",
        comparison.metric, comparison.before, comparison.after
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_worse_weighs_more_than_what_cannot_be_said() {
        use Movement::{Better, Same, TooShort, Unclear, Worse};
        let of = |movements: &[Movement]| {
            let all: Vec<_> = movements
                .iter()
                .map(|movement| Comparison {
                    metric: "p99",
                    before: 1.0,
                    after: 2.0,
                    change_percent: None,
                    movement: *movement,
                })
                .collect();
            code(&all)
        };
        assert_eq!(of(&[Same, Better]), 0);
        assert_eq!(of(&[Same, Unclear, Worse]), BROKEN);
        assert_eq!(of(&[Same, Unclear]), LATE);
        assert_eq!(of(&[Better, TooShort]), LATE);
    }
}

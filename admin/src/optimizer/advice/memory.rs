//! Memory: its target, the leak verdict, the guard.

use pitcrew::memory::{LeakReport, LeakState};

use super::{Action, Advice, Body, Found, Severity};
use crate::Inner;

pub(super) fn advice(inner: &Inner) -> Found {
    let Some(memory) = &inner.memory else {
        return Found::Nothing("no memory handle".to_owned());
    };
    let snapshot = memory.snapshot();
    let Some(rss) = snapshot.process.rss_bytes else {
        return Found::Nothing("the resident set size is not known".to_owned());
    };
    let rss_mib = rss as f64 / f64::from(1 << 20);
    let mut advice = Vec::new();
    if rss_mib > inner.targets.memory_mib {
        advice.push(Advice {
            id: "memory-over-target".to_owned(),
            part: "memory",
            severity: Severity::Warn,
            title: "the process is larger than its target".to_owned(),
            detail: format!(
                "{rss_mib:.0} MiB resident, {:.0} MiB wanted",
                inner.targets.memory_mib
            ),
            action: Some(Action {
                method: "POST",
                path: "/memory/gc",
                body: Body::Empty {},
            }),
            estimated_bytes: None,
        });
    }
    advice.extend(leak(&snapshot.leak));
    if let Some(guard) = snapshot.guard.filter(|guard| guard.level == "hard") {
        advice.push(Advice {
            id: "memory-guard".to_owned(),
            part: "memory",
            severity: Severity::Critical,
            title: "requests are refused for want of memory".to_owned(),
            detail: guard.detail,
            action: None,
            estimated_bytes: None,
        });
    }
    Found::Advice(
        format!("{rss_mib:.0} MiB resident; {}", snapshot.leak.detail),
        advice,
    )
}

/// Within so many hours of the limit a leak is urgent.
const URGENT_HOURS: f64 = 24.0;

/// The leak verdict, with the heap profile as what to do about it where there is one.
fn leak(report: &LeakReport) -> Option<Advice> {
    if report.state != LeakState::Leaking {
        return None;
    }
    let is_urgent = report
        .hours_to_limit
        .is_some_and(|hours| hours < URGENT_HOURS);
    Some(Advice {
        id: "memory-leak".to_owned(),
        part: "memory",
        severity: if is_urgent {
            Severity::Critical
        } else {
            Severity::Warn
        },
        title: "memory leaks".to_owned(),
        detail: report.detail.clone(),
        action: report.profile.then_some(Action {
            method: "POST",
            path: "/memory/heap-profile",
            body: Body::Empty {},
        }),
        estimated_bytes: None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(state: LeakState, hours: Option<f64>, profile: bool) -> LeakReport {
        let mut report = LeakReport::default();
        report.state = state;
        report.hours_to_limit = hours;
        report.profile = profile;
        "live memory leaks: 8.00 MiB an hour".clone_into(&mut report.detail);
        report
    }

    #[test]
    fn a_leak_is_advice_with_its_sentence_and_growth_is_none() {
        for state in [LeakState::Steady, LeakState::Growing, LeakState::Unknown] {
            assert!(leak(&report(state, Some(1.0), true)).is_none());
        }
        let far = leak(&report(LeakState::Leaking, Some(500.0), false)).expect("advice");
        assert_eq!((far.severity, far.action.is_none()), (Severity::Warn, true));
        assert_eq!(far.detail, "live memory leaks: 8.00 MiB an hour");
        let near = leak(&report(LeakState::Leaking, Some(3.0), true)).expect("advice");
        assert_eq!(near.severity, Severity::Critical);
        let action = serde_json::to_value(near.action).expect("JSON");
        assert_eq!(
            (&action["method"], &action["path"]),
            (&json!("POST"), &json!("/memory/heap-profile"))
        );
    }
}

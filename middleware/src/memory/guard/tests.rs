use super::*;
use crate::memory::snapshot::{CgroupMemory, UnknownFigure};

fn sample(limit: Option<u64>, working_set: Option<u64>, rss: Option<u64>) -> Sample {
    let mut sample = Sample::default();
    sample.process.rss_bytes = rss;
    sample.cgroup = Some(CgroupMemory {
        limit_bytes: limit,
        working_set_bytes: working_set,
        ..CgroupMemory::default()
    });
    sample
}

fn check(guard: &Guard) -> Result<Checked, GuardError> {
    guard.check(&sample(Some(1_000), Some(100), Some(50)))
}

#[test]
fn the_defaults_are_shares_of_the_groups_limit() {
    let limits = check(&Guard::new()).unwrap().limits;
    let told = |limit| {
        let now = InUse::of(&sample(limit, Some(100), Some(50)));
        let status = GuardStatus::new(&limits, Pressed::default(), &now, true, 0);
        (status.soft_limit_bytes, status.hard_limit_bytes)
    };
    assert_eq!(told(Some(1_000)), (Some(800), Some(950)));
    assert_eq!(told(Some(500)), (Some(400), Some(475)), "as it is now");
    let without = Guard::new().check(&sample(None, None, Some(50)));
    let without = without.unwrap_err();
    assert_eq!(without, GuardError::NoLimit);
    assert!(without.to_string().contains("soft_bytes and hard_bytes"));
}

#[test]
fn what_does_not_hold_together_is_refused_with_its_numbers() {
    let cases = [
        (Guard::new().soft_percent(0.0), GuardError::Percent(0.0)),
        (Guard::new().hard_percent(101.0), GuardError::Percent(101.0)),
        (Guard::new().shed_share(0.0), GuardError::ShedShare(0.0)),
        (Guard::new().shed_share(1.1), GuardError::ShedShare(1.1)),
        (
            Guard::new().soft_bytes(960),
            GuardError::Order {
                soft: 960,
                hard: 950,
            },
        ),
        (
            Guard::new().soft_bytes(0).hard_bytes(0),
            GuardError::Order { soft: 0, hard: 0 },
        ),
        (
            Guard::new().soft_percent(1e-300),
            GuardError::Order { soft: 0, hard: 950 },
        ),
        (
            Guard::new().hard_bytes(1_001),
            GuardError::AboveGroup {
                hard: 1_001,
                limit: 1_000,
            },
        ),
        (
            Guard::new().soft_bytes(40),
            GuardError::BelowPresent { limit: 40, now: 50 },
        ),
        (
            Guard::new().soft_percent(10.0),
            GuardError::BelowPresent {
                limit: 100,
                now: 100,
            },
        ),
    ];
    for (guard, wanted) in cases {
        let error = check(&guard).unwrap_err();
        assert_eq!(error, wanted, "{guard:?}");
        assert!(!error.to_string().is_empty());
    }
    assert!(matches!(
        check(&Guard::new().soft_percent(f64::NAN)),
        Err(GuardError::Percent(_))
    ));
    assert!(matches!(
        check(&Guard::new().shed_share(f64::NAN)),
        Err(GuardError::ShedShare(_))
    ));
}

#[test]
fn patterns_of_ones_own_are_bounded_beside_the_defaults() {
    let of = |count| (0..count).fold(Guard::new(), |guard, n| guard.exempt(&format!("/{n}")));
    assert!(check(&of(MAX_EXEMPT)).is_ok());
    let error = check(&of(MAX_EXEMPT + 1)).unwrap_err();
    assert_eq!(error, GuardError::TooManyExempt(MAX_EXEMPT + 1));
    assert!(error.to_string().contains("64 at most"), "{error}");
}

#[test]
fn a_figure_that_is_not_known_is_an_error_with_its_reason() {
    let mut blind = sample(Some(1_000), None, None);
    blind.unknown.push(UnknownFigure {
        figure: "cgroup.working_set_bytes",
        reason: "the file cannot be read".to_owned(),
    });
    let error = Guard::new().check(&blind).map(|_| ()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("working_set_bytes, which is not known (the file cannot be read)"),
        "{error}"
    );
    let bytes = Guard::new().soft_bytes(10).hard_bytes(20).check(&blind);
    assert!(matches!(
        bytes,
        Err(GuardError::Unknown {
            figure: "process.rss_bytes",
            ..
        })
    ));
    let none = Guard::new().check(&sample(Some(0), Some(0), Some(1)));
    assert_eq!(none.map(|_| ()).unwrap_err(), GuardError::GroupLimitZero);
}

#[test]
fn what_is_not_known_is_not_called_calm() {
    let limits = check(&Guard::new()).unwrap().limits;
    let told = |sample: Sample, is_attended| {
        let now = InUse::of(&sample);
        GuardStatus::new(&limits, Pressed::default(), &now, is_attended, 0)
    };
    let status = told(sample(Some(1_000), None, None), true);
    assert_eq!(status.level, "unknown");
    assert!(
        status.detail.ends_with("the guard does nothing"),
        "{status:?}"
    );
    assert_eq!(told(sample(None, Some(1), None), true).level, "unknown");
    assert_eq!(told(sample(Some(1_000), Some(1), None), true).level, "calm");
    let status = told(sample(Some(1_000), Some(990), None), false);
    assert_eq!(status.level, "idle");
    assert!(status.detail.contains("no sampler runs"), "{status:?}");
}

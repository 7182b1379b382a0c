//! What is explored: what may happen, a kind at a time, so that each stays small.

use std::sync::Arc;

use super::{
    super::{
        name::{Kind, Name, Target},
        patterns::Pattern,
    },
    Bounds, Budget, REGION,
};

fn hard(slot: u32) -> Name {
    Name::slot(Kind::Hard, slot)
}

fn soft(slot: u32) -> Name {
    Name::slot(Kind::Soft, slot)
}

fn pattern(glob: &str) -> Name {
    Name {
        kind: Kind::Hard,
        target: Target::Pattern(Arc::new(Pattern {
            region: REGION,
            glob: glob.into(),
        })),
    }
}

/// Two instances, one datum, one answer, L1 and L2.
pub(super) fn plain() -> Bounds {
    Bounds {
        nodes: 2,
        asked: 2,
        purging: 2,
        names: vec![hard(0)],
        keys: 1,
        l2: true,
        replies: false,
        hits: false,
        token: false,
        copies: true,
        clock: true,
        budget: Budget {
            purges: 2,
            fills: 2,
            looks: 1,
            ..Budget::default()
        },
        fault: None,
    }
}

fn with(change: impl FnOnce(&mut Bounds)) -> Bounds {
    let mut bounds = plain();
    change(&mut bounds);
    bounds
}

pub(super) fn disconnects() -> Bounds {
    with(|bounds| {
        // One fill, and instances that are alike: whose it is makes no difference.
        bounds.budget.fills = 1;
        bounds.asked = 1;
        bounds.budget.looks = 0;
        bounds.budget.disconnects = 1;
        bounds.budget.losses = 1;
    })
}

pub(super) fn trims() -> Bounds {
    with(|bounds| {
        // One fill, and instances that are alike: whose it is makes no difference.
        bounds.budget.fills = 1;
        bounds.asked = 1;
        bounds.budget.looks = 0;
        bounds.names = vec![hard(0), hard(1)];
        bounds.budget.trims = 1;
    })
}

pub(super) fn flushes() -> Bounds {
    with(|bounds| {
        // One fill, and instances that are alike: whose it is makes no difference.
        bounds.budget.fills = 1;
        bounds.asked = 1;
        bounds.budget.looks = 0;
        bounds.budget.flushes = 1;
    })
}

pub(super) fn fails_over() -> Bounds {
    with(|bounds| {
        bounds.l2 = false;
        // One fill, and instances that are alike: whose it is makes no difference.
        bounds.budget.fills = 1;
        bounds.asked = 1;
        bounds.budget.looks = 0;
        bounds.budget.fail_overs = 1;
    })
}

pub(super) fn fails_over_with_l2() -> Bounds {
    with(|bounds| {
        bounds.budget.purges = 1;
        bounds.budget.fail_overs = 1;
    })
}

pub(super) fn restarts() -> Bounds {
    with(|bounds| {
        bounds.budget.purges = 1;
        bounds.budget.restarts = 1;
    })
}

pub(super) fn lapses() -> Bounds {
    with(|bounds| {
        bounds.budget.purges = 1;
        bounds.budget.lapses = 1;
    })
}

pub(super) fn waits() -> Bounds {
    with(|bounds| {
        bounds.budget.looks = 0;
        bounds.budget.waits = 1;
    })
}

/// An answer built from another.
pub(super) fn nested() -> Bounds {
    with(|bounds| {
        bounds.keys = 2;
        bounds.l2 = false;
        bounds.budget.looks = 0;
        bounds.names = vec![hard(0), soft(0)];
    })
}

pub(super) fn softly() -> Bounds {
    with(|bounds| {
        bounds.names = vec![hard(0), soft(0)];
        bounds.budget.looks = 0;
    })
}

pub(super) fn patterns() -> Bounds {
    with(|bounds| {
        bounds.names = vec![pattern("inn*"), pattern("other*")];
        bounds.l2 = false;
        bounds.hits = true;
        bounds.budget.looks = 0;
        bounds.budget.purges = 3;
        // One fill, and instances that are alike: whose it is makes no difference.
        bounds.budget.fills = 1;
        bounds.asked = 1;
    })
}

pub(super) fn replies() -> Bounds {
    with(|bounds| {
        bounds.names = vec![hard(0), hard(1)];
        bounds.replies = true;
        // One fill, and instances that are alike: whose it is makes no difference.
        bounds.budget.fills = 1;
        bounds.asked = 1;
    })
}

pub(super) fn tokens() -> Bounds {
    Bounds {
        names: vec![hard(0), hard(1)],
        token: true,
        copies: false,
        asked: 1,
        purging: 1,
        ..fails_over()
    }
}

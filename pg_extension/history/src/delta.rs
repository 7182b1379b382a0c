//! From counters that only rise, until a server forgets them, to what was counted between two ticks.
//!
//! What is counted is never more than what happened: where a server forgot, the part before it is lost and the tick says so.

/// What was known of an object before this tick.
#[derive(Clone, Copy, Debug)]
pub enum Before<'a> {
    /// Its counters at the tick that saw it last.
    Counters(&'a [i64]),
    /// Nothing, and the tick before saw everything: the object is new, so all that it counts came since.
    New,
    /// Nothing that its counters can be compared with: they may be years old, or another server's.
    Unknown,
}

/// What was counted since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// One number a counter, none below 0.
    pub values: Vec<i64>,
    /// The server forgot the object's counters in between: the values are what came after that.
    pub is_reset: bool,
}

/// Compares counters with those of the tick before.
#[must_use]
pub fn counted(before: Before<'_>, now: &[i64]) -> Delta {
    let whole = || now.iter().map(|&value| value.max(0)).collect();
    match before {
        Before::Unknown => Delta {
            values: vec![0; now.len()],
            is_reset: false,
        },
        Before::New => Delta {
            values: whole(),
            is_reset: false,
        },
        // A counter that another version did not have.
        Before::Counters(last) if last.len() != now.len() => counted(Before::Unknown, now),
        // Counters are forgotten together, so one that fell speaks for all of them.
        Before::Counters(last) if last.iter().zip(now).any(|(last, now)| now < last) => Delta {
            values: whole(),
            is_reset: true,
        },
        Before::Counters(last) => Delta {
            values: last
                .iter()
                .zip(now)
                .map(|(last, now)| now.saturating_sub(*last))
                .collect(),
            is_reset: false,
        },
    }
}

/// Where a tick was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// System identifier, database and timeline.
    pub server: String,
    /// When the server started.
    pub boot: String,
    /// When the database's statistics were reset, empty for never.
    pub statistics_reset: String,
    /// When the statements' statistics were reset, empty where there are none.
    pub statements_reset: String,
}

/// Why a tick does not simply continue the one before. Rates across it are not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// There is none before.
    First,
    /// The one before was taken on another server, database or timeline: a dump, a clone or a promoted standby.
    OtherServer,
    /// The server was restarted.
    Restart,
    /// `pg_stat_reset` and its like, or a crash.
    StatisticsReset,
    /// `pg_stat_statements_reset`.
    StatementsReset,
    /// `pg_stat_statements` could not be read.
    StatementsUnread,
    /// It could not in the tick before: what was counted then is counted now.
    StatementsUnreadBefore,
}

impl Gap {
    /// Its name in `history_ticks.gaps`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::OtherServer => "other server",
            Self::Restart => "restart",
            Self::StatisticsReset => "statistics reset",
            Self::StatementsReset => "statements reset",
            Self::StatementsUnread => "statements not read",
            Self::StatementsUnreadBefore => "statements not read before",
        }
    }
}

/// What lies between two ticks.
#[must_use]
pub fn gaps(last: Option<&Origin>, now: &Origin) -> Vec<Gap> {
    let Some(last) = last else {
        return vec![Gap::First];
    };
    // Nothing of another server can be compared.
    if last.server != now.server {
        return vec![Gap::OtherServer];
    }
    let mut gaps = Vec::new();
    if last.boot != now.boot {
        gaps.push(Gap::Restart);
    }
    if last.statistics_reset != now.statistics_reset {
        gaps.push(Gap::StatisticsReset);
    }
    // Not where pg_stat_statements came or went.
    let both = [&last.statements_reset, &now.statements_reset];
    if both[0] != both[1] && both.iter().all(|reset| !reset.is_empty()) {
        gaps.push(Gap::StatementsReset);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin {
            server: "7/16384/1".into(),
            boot: "2026-01-01".into(),
            statistics_reset: String::new(),
            statements_reset: "2026-01-01".into(),
        }
    }

    #[test]
    fn a_counter_that_fell_counts_from_nothing() {
        let delta = counted(Before::Counters(&[10, 100]), &[3, 120]);
        assert_eq!(delta.values, [3, 120]);
        assert!(delta.is_reset);
    }

    #[test]
    fn what_cannot_be_compared_counts_nothing_and_what_is_new_counts_whole() {
        assert_eq!(counted(Before::Unknown, &[7, 8]).values, [0, 0]);
        assert_eq!(counted(Before::New, &[7, 8]).values, [7, 8]);
        assert_eq!(counted(Before::Counters(&[1]), &[7, 8]).values, [0, 0]);
    }

    #[test]
    fn each_gap_is_named() {
        let last = origin();
        let named = |change: fn(&mut Origin)| {
            let mut now = origin();
            change(&mut now);
            gaps(Some(&last), &now)
        };
        assert_eq!(named(|_| {}), []);
        assert_eq!(named(|now| now.boot = "b".into()), [Gap::Restart]);
        assert_eq!(
            named(|now| now.statistics_reset = "r".into()),
            [Gap::StatisticsReset]
        );
        assert_eq!(
            named(|now| now.statements_reset = "r".into()),
            [Gap::StatementsReset]
        );
        assert_eq!(named(|now| now.statements_reset = String::new()), []);
        assert_eq!(
            named(|now| (now.server, now.boot) = ("7/16384/2".into(), "b".into())),
            [Gap::OtherServer]
        );
        assert_eq!(gaps(None, &last), [Gap::First]);
    }
}

//! What is wrong with a schedule, and what to write instead.

use crate::MAX_JITTER_S;

/// Why a schedule is refused. All of them are mistakes of the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Neither cron pattern nor interval.
    #[error("\"{text}\" is neither a cron pattern nor an interval: {reason}")]
    Rule {
        /// What was written.
        text: String,
        /// What the parser made of it.
        reason: String,
    },
    /// A pattern such as the 30th of February, or a window that never lets it start.
    #[error("\"{0}\" is never due")]
    Never(String),
    /// Not in the time zone database.
    #[error("there is no time zone \"{0}\"")]
    Zone(String),
    /// A window that cannot be read.
    #[error("the maintenance window cannot be read: {0}")]
    Window(String),
    /// Out of range.
    #[error("a jitter of {0} s is out of range")]
    Jitter(i64),
    /// Not a rule for missed runs.
    #[error("unknown catch-up rule \"{0}\"")]
    CatchUp(String),
}

impl Problem {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Rule { .. } => "Write five or six cron fields (second first where there are six), as in '30 2 * * *' or '@daily', \
                                  or an interval from 1 second to 366 days, as in '15 minutes'."
                .to_owned(),
            Self::Never(_) => {
                "Change the day or the month, or the window, so that there is a date which has them.".to_owned()
            }
            Self::Zone(_) => "Use a name of the time zone database, as in 'Europe/Berlin' or 'UTC'.".to_owned(),
            Self::Window(_) => "For example {\"start\": \"22:00\", \"end\": \"05:00\", \"days\": [\"mon\", \"fri\"], \
                                \"time_zone\": \"Europe/Berlin\", \"stop_at_end\": false}; start and end are needed."
                .to_owned(),
            Self::Jitter(_) => format!(
                "Give 0 to {MAX_JITTER_S} seconds, and less than the interval between two runs."
            ),
            Self::CatchUp(_) => "It is 'once' (a missed run is made up for, once) or 'none' (it is left out).".to_owned(),
        }
    }
}

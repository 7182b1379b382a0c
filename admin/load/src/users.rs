//! How many of a closed model's connections send, and when: stages of a number of users. Nothing here reads a clock.

use serde::{Deserialize, Serialize};

use crate::part::Part;
#[cfg(feature = "schema")]
use crate::plan::{MAX_CONNECTIONS, MAX_DURATION_S};

/// A part of a closed run in which the number of users is constant or changes evenly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UserStage {
    /// How long it lasts, in seconds: 0.001 or more.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.001, max = MAX_DURATION_S)))]
    pub duration_s: f64,
    /// Users at its beginning: 0 or more.
    #[cfg_attr(feature = "schema", schemars(range(max = MAX_CONNECTIONS)))]
    pub users: u32,
    /// Users at its end; what it began with where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(max = MAX_CONNECTIONS)))]
    pub to_users: Option<u32>,
}

impl UserStage {
    pub(crate) fn most(&self) -> u32 {
        self.users.max(self.to_users.unwrap_or(0))
    }

    /// After so many seconds of it.
    fn at(&self, seconds: f64) -> u32 {
        let (from, to) = (
            f64::from(self.users),
            f64::from(self.to_users.unwrap_or(self.users)),
        );
        let share = (seconds / self.duration_s).clamp(0.0, 1.0);
        // A user is there from the moment that it is whole, and no rounding makes it late.
        (from + (to - from) * share + 1e-9) as u32
    }
}

/// Users over the time of a run, as one process has them.
#[derive(Debug, Clone)]
pub(crate) struct Users {
    stages: Vec<UserStage>,
    part: Part,
}

impl Users {
    pub(crate) fn new(stages: Vec<UserStage>, part: Part) -> Self {
        Self { stages, part }
    }

    /// So many seconds after the beginning; past the end as many as there were then.
    pub(crate) fn at(&self, seconds: f64) -> u32 {
        let mut begin = 0.0;
        let mut users = 0;
        for stage in &self.stages {
            if seconds < begin {
                break;
            }
            users = stage.at(seconds - begin);
            begin += stage.duration_s;
        }
        // No more than there were.
        self.part.share(u64::from(users)) as u32
    }

    /// Whether nothing changes after so many seconds.
    pub(crate) fn is_over(&self, seconds: f64) -> bool {
        seconds >= self.stages.iter().map(|stage| stage.duration_s).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(stages: &[(f64, u32, Option<u32>)], part: &str) -> Users {
        let stage = |(duration_s, users, to_users): &(f64, u32, Option<u32>)| UserStage {
            duration_s: *duration_s,
            users: *users,
            to_users: *to_users,
        };
        Users::new(
            stages.iter().map(stage).collect(),
            part.parse().expect("a part"),
        )
    }

    #[test]
    fn each_comes_when_it_is_due_and_goes_so() {
        let all = users(
            &[(10.0, 0, Some(5)), (4.0, 5, None), (5.0, 3, Some(0))],
            "1/1",
        );
        for (seconds, count) in [
            (0.0, 0),
            (1.999, 0),
            (2.0, 1),
            (6.0, 3),
            (9.99, 4),
            (10.0, 5),
            (13.9, 5),
            (14.0, 3),
            (15.7, 1),
            (19.0, 0),
            (600.0, 0),
        ] {
            assert_eq!(all.at(seconds), count, "at {seconds} s");
        }
        assert!(!all.is_over(18.9) && all.is_over(19.0));
    }

    #[test]
    fn those_of_all_parts_are_those_of_the_whole() {
        let stages = [(10.0, 1, Some(17)), (10.0, 17, Some(2))];
        let whole = users(&stages, "1/1");
        let parts = ["1/3", "2/3", "3/3"].map(|part| users(&stages, part));
        for tenth in 0..210 {
            let seconds = f64::from(tenth) / 10.0;
            let sum: u32 = parts.iter().map(|part| part.at(seconds)).sum();
            assert_eq!(sum, whole.at(seconds), "at {seconds} s");
        }
    }
}

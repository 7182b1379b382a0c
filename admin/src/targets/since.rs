//! Since when.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::{Benchmark, Verdict};
use crate::observe::time;

/// Since when each target is met or missed.
#[derive(Debug, Default)]
pub(crate) struct Since(Mutex<BTreeMap<&'static str, (Verdict, i64)>>);

impl Since {
    /// Takes down where the targets stand; one that is not measured now stays as it was.
    pub(crate) fn look(&self, now: i64, benchmarks: &[Benchmark]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let measured = benchmarks
            .iter()
            .filter(|one| one.verdict != Verdict::NotMeasured);
        for one in measured {
            let since = known.entry(one.name).or_insert((one.verdict, now));
            if since.0 != one.verdict {
                *since = (one.verdict, now);
            }
        }
    }

    /// Puts it to the targets that stand as they stood then.
    pub(crate) fn put(&self, benchmarks: &mut [Benchmark]) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for one in benchmarks {
            let since = known
                .get(one.name)
                .filter(|(verdict, _)| *verdict == one.verdict);
            one.since = since.map(|(_, since)| time(*since));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge;
    use super::*;

    #[test]
    fn a_target_is_missed_since_it_changed_and_what_is_not_measured_changes_nothing() {
        let one = |value: Result<f64, String>| judge("memory", "MiB", "at_most", 512.0, value);
        let since = Since::default();
        let told = |value: f64| {
            let mut benchmarks = [one(Ok(value))];
            since.put(&mut benchmarks);
            benchmarks[0].since.clone()
        };
        assert_eq!(told(1.0), None);
        since.look(100, &[one(Ok(1.0))]);
        since.look(200, &[one(Ok(2.0))]);
        assert_eq!(told(3.0), Some(time(100)));
        assert_eq!(told(600.0), None, "it is missed only now");
        since.look(300, &[one(Ok(600.0))]);
        since.look(400, &[one(Err(String::new()))]);
        assert_eq!(told(700.0), Some(time(300)));
    }
}

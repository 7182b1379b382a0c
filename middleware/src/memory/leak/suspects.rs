//! Which routes hold what grows: their own accounts of net bytes, over the window of the verdict.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use serde::Serialize;

use super::verdict::Verdict;

/// Suspects told at most.
pub const MAX_SUSPECTS: usize = 5;
/// Time between two notes of all accounts.
const NOTE_EVERY: Duration = Duration::from_secs(10 * 60);
/// Notes kept: a day. With 512 routes 1.2 MiB.
const NOTES: usize = 144;
/// A route that holds less than this share of the growth is none.
const LEAST_SHARE: f64 = 0.1;

/// A route that may hold what grows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Suspect {
    /// Method and route.
    pub route: String,
    /// Bytes an hour that its requests allocated and neither freed nor handed to the server as body data.
    pub bytes_per_hour: f64,
}

/// Accounts of all routes at past times: by series, net bytes.
#[derive(Debug, Default)]
pub(in crate::memory) struct Suspects {
    notes: VecDeque<(Duration, Vec<(usize, i64)>)>,
    latest: Option<(Duration, Vec<(usize, i64)>)>,
}

impl Suspects {
    /// Notes the accounts; to be called once a minute.
    pub(in crate::memory) fn note(&mut self, now: Duration, kept: impl Fn() -> Vec<(usize, i64)>) {
        let is_due = |last: &(Duration, Vec<_>)| now.saturating_sub(last.0) >= NOTE_EVERY;
        let note = (now, kept());
        if self.notes.back().is_none_or(is_due) {
            if self.notes.len() >= NOTES {
                self.notes.pop_front();
            }
            self.notes.push_back(note.clone());
        }
        self.latest = Some(note);
    }

    /// The routes whose accounts rose most over the window of a rise.
    pub(in crate::memory) fn over(
        &self,
        verdict: &Verdict,
        name: impl Fn(usize) -> Option<String>,
    ) -> Vec<Suspect> {
        let (Verdict::Growing(rise, _) | Verdict::Leaking(rise)) = verdict else {
            return Vec::new();
        };
        let Some((now, latest)) = &self.latest else {
            return Vec::new();
        };
        let begin = now.saturating_sub(Duration::from_secs(rise.window_minutes * 60));
        let at_begin = self.notes.iter().find(|note| note.0 >= begin);
        let Some((then, before)) = at_begin.filter(|note| note.0 < *now) else {
            return Vec::new();
        };
        let hours = now.saturating_sub(*then).as_secs_f64() / 3_600.0;
        let before: HashMap<usize, i64> = before.iter().copied().collect();
        let mut risen: Vec<(usize, f64)> = latest
            .iter()
            .map(|(series, kept)| {
                let before = before.get(series).copied().unwrap_or(0);
                (*series, kept.wrapping_sub(before) as f64 / hours)
            })
            .filter(|(_, rate)| *rate >= LEAST_SHARE * rise.bytes_per_hour)
            .collect();
        risen.sort_by(|a, b| b.1.total_cmp(&a.1));
        let named = risen
            .into_iter()
            .take(MAX_SUSPECTS)
            .filter_map(|(series, rate)| {
                Some(Suspect {
                    route: name(series)?,
                    bytes_per_hour: rate,
                })
            });
        named.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::verdict::Rise, *};

    #[test]
    fn the_route_that_holds_what_grows_stands_first() {
        let mut suspects = Suspects::default();
        for minute in 0..=180_u64 {
            let now = Duration::from_secs(minute * 60);
            let minute = i64::try_from(minute).unwrap();
            suspects.note(now, || {
                vec![
                    (1, 5_000_000),
                    (2, 1_000 * minute),
                    (3, -900 * minute),
                    (4, 10 * minute),
                ]
            });
        }
        let rise = Rise {
            window_minutes: 120,
            bytes_per_hour: 61_000.0,
            low_per_hour: 60_000.0,
            high_per_hour: 62_000.0,
            probability: 0.0,
            from_bytes: 1e6,
        };
        let name = |series: usize| Some(format!("route {series}"));
        let found = suspects.over(&Verdict::Leaking(rise), name);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].route, "route 2");
        assert!((found[0].bytes_per_hour - 60_000.0).abs() < 1.0);
        assert!(
            suspects
                .over(&Verdict::Steady { minutes: 1 }, name)
                .is_empty()
        );
    }

    #[test]
    fn notes_are_bounded() {
        let mut suspects = Suspects::default();
        for minute in 0..10_000 {
            suspects.note(Duration::from_secs(minute * 60), || vec![(1, 1)]);
        }
        assert_eq!(suspects.notes.len(), NOTES);
    }
}

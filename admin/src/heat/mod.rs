//! How long requests took, minute by minute: for all routes together and for each, in 19 steps of time. Bounded: three hours, and
//! so many cells.

mod kept;

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) use kept::KeptColumn;
use pitcrew::latency::{Histogram, LatencySnapshot, Window};

/// The longest time of each step in milliseconds; the last step has all that took longer.
pub(crate) const BOUNDS_MS: [f64; 18] = [
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0,
    10_000.0, 20_000.0, 60_000.0,
];
const STEPS: usize = BOUNDS_MS.len() + 1;
/// Seconds of a column.
pub(crate) const COLUMN_S: i64 = 60;
/// Columns that are kept: three hours.
const COLUMNS: usize = 180;
/// Counts of routes that are kept, 8 bytes each; the oldest column's go first.
const CELLS: usize = 100_000;
/// Routes that are told apart; what comes after them is in the whole alone.
const ROUTES: usize = 2_048;

/// Requests by step.
pub(crate) type Counts = [u64; STEPS];

/// By step, the shortest times first.
fn counts(histogram: &Histogram) -> Counts {
    let mut counts = [0; STEPS];
    for bucket in histogram.iter() {
        let middle = bucket.low + (bucket.high.saturating_sub(bucket.low)) / 2;
        counts[step(middle)] += bucket.count;
    }
    counts
}

fn step(time: Duration) -> usize {
    let ms = time.as_secs_f64() * 1e3;
    BOUNDS_MS.partition_point(|bound| *bound < ms)
}

/// What has been seen so far.
#[derive(Debug, Default)]
pub(crate) struct Heat(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The minute under way, in minutes since 1970.
    minute: Option<i64>,
    /// What was counted since the start, as of the last column: of the whole, and of each route.
    whole: Counts,
    routes: HashMap<String, (u16, Counts)>,
    columns: VecDeque<Column>,
    cells: usize,
    dropped: u64,
}

#[derive(Debug)]
struct Column {
    /// When it began, in seconds since 1970.
    unix_s: i64,
    whole: Counts,
    /// Route, step, requests; ordered by route.
    cells: Vec<(u16, u8, u32)>,
}

impl State {
    fn shorten(&mut self) {
        while self.columns.len() > COLUMNS
            && let Some(oldest) = self.columns.pop_front()
        {
            self.cells -= oldest.cells.len();
        }
        // The whole of a column is kept where its routes are not.
        for column in &mut self.columns {
            if self.cells <= CELLS {
                break;
            }
            let cells = std::mem::take(&mut column.cells);
            self.cells -= cells.len();
            self.dropped += cells.len() as u64;
        }
    }
}

/// The columns of one route, or of all.
#[derive(Debug)]
pub(crate) struct Told {
    /// When each column began, in seconds since 1970, with what ended in it.
    pub(crate) columns: Vec<(i64, Counts)>,
    /// Counts of routes that were let go before their time, for want of room.
    pub(crate) dropped: u64,
}

impl Heat {
    /// Takes down what has ended since the last column, where a minute has ended at this second or before it.
    pub(crate) fn look(&self, unix_s: i64, snapshot: impl FnOnce() -> LatencySnapshot) {
        let minute = unix_s.div_euclid(COLUMN_S);
        let before = self.state().minute.replace(minute);
        if before.is_some_and(|before| before < minute) {
            self.take(minute * COLUMN_S - COLUMN_S, &snapshot());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, unix_s: i64, snapshot: &LatencySnapshot) {
        let mut by_route: HashMap<&str, Counts> = HashMap::new();
        for series in &snapshot.series {
            let of_series = counts(series.histogram(Window::SinceStart));
            add(by_route.entry(&series.route).or_default(), &of_series);
        }
        self.close(unix_s, by_route);
    }

    fn close(&self, unix_s: i64, by_route: HashMap<&str, Counts>) {
        let state = &mut *self.state();
        if state
            .columns
            .back()
            .is_some_and(|last| last.unix_s >= unix_s)
        {
            return;
        }
        let mut whole = [0; STEPS];
        let mut cells = Vec::new();
        for (route, now) in by_route {
            add(&mut whole, &now);
            let known = state.routes.len();
            if !state.routes.contains_key(route) {
                let Some(number) = u16::try_from(known).ok().filter(|_| known < ROUTES) else {
                    state.dropped += 1;
                    continue;
                };
                state.routes.insert(route.to_owned(), (number, [0; STEPS]));
            }
            let Some((number, before)) = state.routes.get_mut(route) else {
                continue;
            };
            let more = less(&now, before);
            *before = now;
            let met = more.iter().enumerate().filter(|(_, count)| **count > 0);
            cells.extend(met.map(|(step, count)| {
                let count = u32::try_from(*count).unwrap_or(u32::MAX);
                (*number, step as u8, count)
            }));
        }
        cells.sort_unstable();
        cells.shrink_to_fit();
        let more = less(&whole, &state.whole);
        state.whole = whole;
        state.cells += cells.len();
        state.columns.push_back(Column {
            unix_s,
            whole: more,
            cells,
        });
        state.shorten();
    }

    /// What ended since then, in seconds since 1970: of all routes, or of one. The minute under way is the last column, by a
    /// snapshot of now.
    pub(crate) fn told(
        &self,
        route: Option<&str>,
        since: i64,
        now: i64,
        snapshot: &LatencySnapshot,
    ) -> Told {
        let mut told = self.closed(route, since);
        let mut so_far = [0; STEPS];
        let series = snapshot.series.iter();
        for series in series.filter(|series| route.is_none_or(|route| series.route == route)) {
            add(&mut so_far, &counts(series.histogram(Window::SinceStart)));
        }
        let state = self.state();
        let before = match route {
            None => state.whole,
            Some(route) => state.routes.get(route).map_or([0; STEPS], |known| known.1),
        };
        let begin = now - now.rem_euclid(COLUMN_S);
        let is_after = state.columns.back().is_none_or(|last| last.unix_s < begin);
        if is_after && begin >= since {
            told.columns.push((begin, less(&so_far, &before)));
        }
        told
    }

    fn closed(&self, route: Option<&str>, since: i64) -> Told {
        let state = self.state();
        let number = route.map(|route| state.routes.get(route).map(|(number, _)| *number));
        let columns = state.columns.iter();
        let columns = columns.filter(|column| column.unix_s >= since);
        let columns = columns.map(|column| {
            let counts = match number {
                None => column.whole,
                Some(number) => {
                    let mut counts = [0; STEPS];
                    let from = column.cells.partition_point(|cell| Some(cell.0) < number);
                    let of_route = column.cells[from..].iter();
                    for (_, step, count) in of_route.take_while(|cell| Some(cell.0) == number) {
                        counts[usize::from(*step)] = u64::from(*count);
                    }
                    counts
                }
            };
            (column.unix_s, counts)
        });
        Told {
            columns: columns.collect(),
            dropped: state.dropped,
        }
    }

    /// Bytes that it takes, to a few hundred.
    pub(crate) fn bytes(&self) -> usize {
        let state = self.state();
        let names: usize = state.routes.keys().map(String::len).sum();
        state.columns.len() * size_of::<Column>()
            + state.cells * size_of::<(u16, u8, u32)>()
            + state.routes.len() * size_of::<(String, (u16, Counts))>()
            + names
    }
}

fn add(sum: &mut Counts, more: &Counts) {
    sum.iter_mut()
        .zip(more)
        .for_each(|(sum, more)| *sum += more);
}

/// Requests of a route in a window, by step.
pub(crate) fn of_route(snapshot: &LatencySnapshot, route: &str, window: Window) -> Counts {
    let mut sum = [0; STEPS];
    for series in snapshot
        .series
        .iter()
        .filter(|series| series.route == route)
    {
        add(&mut sum, &counts(series.histogram(window)));
    }
    sum
}

/// By how much each has risen; one that has fallen began anew.
fn less(now: &Counts, before: &Counts) -> Counts {
    std::array::from_fn(|step| match now[step].checked_sub(before[step]) {
        Some(more) => more,
        None => now[step],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn of(times_ms: &[f64]) -> Counts {
        let times = times_ms.iter();
        counts(&Histogram::of(
            times.map(|ms| Duration::from_secs_f64(ms / 1e3)),
        ))
    }

    /// Steps that have something, with how much.
    pub(super) fn met(counts: &Counts) -> Vec<(usize, u64)> {
        let met = counts.iter().copied().enumerate();
        met.filter(|(_, count)| *count > 0).collect()
    }

    #[test]
    fn a_time_is_in_the_step_that_ends_with_it_or_after_it() {
        assert_eq!(
            met(&of(&[0.05, 0.15, 0.9, 1.5, 90_000.0])),
            [(0, 1), (1, 1), (3, 1), (4, 1), (18, 1)]
        );
    }

    #[test]
    fn a_column_has_what_ended_in_its_minute_of_the_whole_and_of_each_route() {
        let heat = Heat::default();
        heat.close(0, HashMap::from([("/a", of(&[1.5])), ("/b", of(&[40.0]))]));
        heat.close(
            60,
            HashMap::from([("/a", of(&[1.5, 1.5, 3.0])), ("/b", of(&[40.0]))]),
        );
        let columns = |route| heat.closed(route, i64::MIN).columns;
        let whole = columns(None);
        assert_eq!(met(&whole[0].1), [(4, 1), (8, 1)]);
        assert_eq!((whole[1].0, met(&whole[1].1)), (60, vec![(4, 1), (5, 1)]));
        assert_eq!(met(&columns(Some("/a"))[1].1), [(4, 1), (5, 1)]);
        assert_eq!(met(&columns(Some("/b"))[1].1), []);
        assert_eq!(met(&columns(Some("/none"))[0].1), []);
        assert_eq!(heat.closed(None, 60).columns.len(), 1);
        // The clock's second came twice.
        heat.close(60, HashMap::new());
        assert_eq!(columns(None).len(), 2);
    }

    #[test]
    fn three_hours_and_so_many_cells_are_kept_and_what_had_no_room_is_counted() {
        let heat = Heat::default();
        let routes: Vec<_> = (0..3_000).map(|number| format!("/{number}")).collect();
        for minute in 0..400 {
            let some = routes.iter().take(600).map(String::as_str);
            heat.close(
                minute as i64 * 60,
                some.map(|route| (route, [minute + 1; STEPS])).collect(),
            );
        }
        let told = heat.closed(None, i64::MIN);
        assert_eq!(told.columns.len(), COLUMNS);
        assert!(told.dropped > 0);
        assert!(
            told.columns.iter().all(|(_, whole)| whole[0] == 600),
            "the whole stays"
        );
        assert!(heat.bytes() < 2_500_000, "{}", heat.bytes());
        let many: HashMap<&str, Counts> = routes
            .iter()
            .map(|route| (route.as_str(), [1; STEPS]))
            .collect();
        heat.close(1_000_000, many);
        assert!(heat.bytes() < 2_500_000, "{}", heat.bytes());
    }
}

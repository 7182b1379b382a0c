//! The recorder under `loom`: threads that record, end and hand over, against whoever folds; every order of their steps
//! with at most three preemptions, and every value that a load may see.
//!
//! To see that the tests can fail, these were tried by hand, each found by the tests named:
//!
//! | broken on purpose | found by |
//! |---|---|
//! | no fence after the odd stamp | `a_reader_sees_whole_records`, `every_record_is_folded_once` |
//! | the even stamp is stored `Relaxed` | the same |
//! | no fence before the stamp is looked at again | the same |
//! | a reader takes an odd stamp for a whole state | the same |
//! | an owner is dropped without giving its slot back | `the_next_thread_goes_on_with_the_slot` |

use std::sync::Arc;

use loom::{model::Builder, thread};

use super::{
    super::{class::StatusClass, trace::TraceId, verdicts::Verdicts, window::Window},
    cell::{BODY_END, Cell, FIRST_BYTE, Measured, Writer},
    label::RouteText,
    owner::Owner,
    reading::{Reader, Reading, bucket_of},
    registry::{Method, SeriesId},
    shared::{Settings, Shared},
};
use crate::clock::Clock;

const ID: SeriesId = SeriesId {
    code: 200,
    class: StatusClass::Successful,
    method: Method::HEAD,
};

fn model(test: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.max_branches = 20_000;
    builder.check(test);
}

/// 1 ms to the head, 2 to the end, so many bytes.
fn measured(bytes: u64) -> Measured {
    Measured {
        body_end: 2_000_000,
        first_byte: 1_000_000,
        request_bytes: 0,
        response_bytes: bytes,
        at: 0,
    }
}

fn layer() -> Arc<Shared> {
    Shared::new(Settings {
        clock: Clock::manual(),
        max_series: 16,
        verdicts: Verdicts::default(),
        exemplars: 1,
    })
}

fn owner(shared: &Shared) -> Owner {
    shared.take_slot().unwrap()
}

fn request(owner: &mut Owner) {
    let route = owner.begin(RouteText::Unmatched);
    let ended = owner.end(route, ID, &measured(7), TraceId::default());
    assert!(ended.is_some());
}

/// Requests, and what a snapshot says of their series since the start.
fn counted(shared: &Shared) -> u64 {
    let snapshot = shared.snapshot();
    let sums: u64 = snapshot.series.iter().map(|series| series.count).sum();
    assert_eq!(snapshot.requests, sums);
    for series in &snapshot.series {
        let figures = series.figures(Window::SinceStart);
        assert_eq!(figures.response_bytes, 7 * figures.count, "{figures:?}");
        assert_eq!(figures.first_byte_count, figures.count, "{figures:?}");
        assert!((figures.mean_ms - 2.0).abs() < 1e-9, "{figures:?}");
    }
    snapshot.requests
}

#[test]
fn a_reader_sees_whole_records() {
    model(|| {
        let cell = Arc::new(Cell::new(0));
        let mut writer = Writer::new(cell.clone());
        writer.record(&measured(7), |_, _| true);
        let writer = thread::spawn(move || writer.record(&measured(7), |_, _| true));
        let mut reader = Reader::new(cell);
        let mut reading = Reading::new();
        let mut look = |reader: &mut Reader| {
            if !reader.read(&mut reading, false) {
                assert!(reading.drain().is_empty());
                return None;
            }
            let sums = *reading.sums();
            let counts = reading.drain();
            let of = |histogram| {
                let own = counts
                    .iter()
                    .filter(|(place, _)| bucket_of(*place).0 == histogram);
                own.map(|(_, count)| u64::from(*count)).sum::<u64>()
            };
            assert_eq!(of(BODY_END), of(FIRST_BYTE));
            assert_eq!(sums.body_end, 2_000_000 * of(BODY_END));
            assert_eq!(sums.first_byte, 1_000_000 * of(BODY_END));
            assert_eq!(sums.response_bytes, 7 * of(BODY_END));
            assert!(of(BODY_END) == 0 || (sums.min, sums.max) == (2_000_000, 2_000_000));
            Some(of(BODY_END))
        };
        look(&mut reader);
        writer.join().unwrap();
        assert_eq!(look(&mut reader), Some(2));
        assert!(!reader.is_new());
    });
}

#[test]
fn every_record_is_folded_once() {
    model(|| {
        let shared = layer();
        let theirs = shared.clone();
        let recorder = thread::spawn(move || {
            let mut owner = owner(&theirs);
            request(&mut owner);
            request(&mut owner);
        });
        let first = counted(&shared);
        recorder.join().unwrap();
        assert!(first <= 2);
        assert_eq!(counted(&shared), 2);
        assert_eq!(counted(&shared), 2, "and not again");
    });
}

#[test]
fn the_next_thread_goes_on_with_the_slot() {
    model(|| {
        let shared = layer();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || request(&mut owner(&shared)))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(counted(&shared), 2);
        request(&mut owner(&shared));
        assert!(shared.slots().after(0).len() <= 2, "slots are used again");
        assert_eq!(counted(&shared), 3);
        assert_eq!(shared.snapshot().in_flight, 0);
    });
}

#[test]
fn a_layer_may_go_while_its_threads_record() {
    model(|| {
        let shared = layer();
        let mut owner = owner(&shared);
        let slot = owner.slot().clone();
        let recorder = thread::spawn(move || {
            let route = owner.begin(RouteText::Unmatched);
            // Nothing, where the layer is gone: there is nobody to count for.
            let _ = owner.end(route, ID, &measured(7), TraceId::default());
            drop(owner);
        });
        drop(shared);
        recorder.join().unwrap();
        assert!(slot.shared().upgrade().is_none(), "nothing keeps the layer");
    });
}

#[test]
fn what_is_in_flight_is_never_less_than_nothing() {
    model(|| {
        let shared = layer();
        // One thread's part, then another's: the one begins requests, the other ends them.
        let (mut begins, mut ends) = (owner(&shared), owner(&shared));
        let route = begins.route(RouteText::Unmatched);
        request(&mut ends);
        let worker = thread::spawn(move || {
            begins.begin(RouteText::Unmatched);
            let ended = ends.end(route, ID, &measured(7), TraceId::default());
            assert!(ended.is_some());
            (begins, ends)
        });
        let in_flight = shared.snapshot().in_flight;
        assert!(in_flight <= 1, "{in_flight}");
        let owners = worker.join().unwrap();
        assert_eq!(shared.snapshot().in_flight, 0);
        drop(owners);
    });
}

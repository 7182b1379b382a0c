//! Segments as handlers use them, on a clock that stands still until it is told to move.

use std::{
    future::{Future, pending, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{book::RouteKey, current::is_any, *};
use crate::{
    clock::Clock,
    latency::{
        Window,
        recorder::shared::{Settings, Shared},
        verdicts::Verdicts,
    },
};

const ROUTE: RouteKey = (1, "GET");

fn names() -> Vec<Arc<str>> {
    vec!["overflow".into(), "/orders/{id}".into()]
}

/// A layer whose clock is moved by hand.
fn layer(clock: &Clock) -> (Arc<Shared>, Arc<Accounts>) {
    let shared = Shared::new(Settings {
        clock: clock.clone(),
        max_series: 16,
        verdicts: Verdicts::default(),
        exemplars: 1,
    });
    let accounts = shared.accounts().clone();
    (shared, accounts)
}

struct Request {
    clock: Clock,
    accounts: Arc<Accounts>,
    frame: Frame,
    _layer: Arc<Shared>,
}

impl Request {
    fn new() -> Self {
        let clock = Clock::manual();
        let (layer, accounts) = layer(&clock);
        Self {
            clock,
            accounts,
            frame: Frame::new(layer.id()),
            _layer: layer,
        }
    }

    fn poll<F: Future>(&mut self, future: Pin<&mut F>) -> Poll<F::Output> {
        let mut cx = Context::from_waker(Waker::noop());
        let _entered = self.frame.enter(OUTSIDE);
        future.poll(&mut cx)
    }

    fn run<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        for _ in 0..1_000 {
            if let Poll::Ready(output) = self.poll(future.as_mut()) {
                return output;
            }
        }
        panic!("it does not end");
    }

    /// Ends the request; answers its parts in milliseconds, and the rest.
    fn end(mut self) -> (Vec<(&'static str, f64)>, f64) {
        self.frame.end(|| ROUTE, self.accounts.now());
        let mut report = TimeReport::of(&self.accounts, names, Window::SinceStart);
        let Some(mut route) = report.routes.pop() else {
            return (Vec::new(), 0.0);
        };
        route.parts.sort_by_key(|part| part.name);
        let parts: Vec<_> = route
            .parts
            .iter()
            .map(|part| (part.name, part.mean_ms))
            .collect();
        let sum: f64 = parts.iter().map(|part| part.1).sum();
        assert!((sum + route.rest_mean_ms - route.mean_ms).abs() < 1e-9);
        (parts, route.rest_mean_ms)
    }
}

/// Takes `polls` polls of `ms` each.
fn working(clock: &Clock, polls: u32, ms: u64) -> impl Future<Output = ()> + use<> {
    let clock = clock.clone();
    let mut left = polls;
    poll_fn(move |_| {
        clock.advance(Duration::from_millis(ms));
        left -= 1;
        if left == 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
}

#[test]
fn a_request_is_its_segments_and_the_rest() {
    let mut request = Request::new();
    let clock = request.clock.clone();
    request.run(async {
        working(&clock, 1, 3).await;
        segment(POOL).run(working(&clock, 2, 5)).await;
        segment(DATABASE).run(working(&clock, 3, 7)).await;
        segment("render").measure(|| clock.advance(Duration::from_millis(2)));
        working(&clock, 1, 4).await;
    });
    let (parts, rest) = request.end();
    assert_eq!(parts, [(DATABASE, 21.0), (POOL, 10.0), ("render", 2.0)]);
    assert_eq!(rest, 7.0);
}

/// Rows and copies: from a poll that has to wait to the next that need not, and to the drop of what waits.
#[cfg(feature = "tokio-postgres")]
#[test]
fn what_comes_bit_by_bit_is_the_databases_while_it_is_waited_for() {
    use crate::latency::postgres::waiting::Waiting;

    let mut request = Request::new();
    let clock = request.clock.clone();
    request.run(async {
        let mut waiting = Waiting::default();
        let pass = |ms| clock.advance(Duration::from_millis(ms));
        for _ in 0..3 {
            assert!(waiting.seen(Poll::<()>::Pending).is_pending());
            pass(5);
            assert!(waiting.seen(Poll::<()>::Pending).is_pending());
            pass(2);
            assert!(waiting.seen(Poll::Ready(())).is_ready());
            pass(11);
            assert!(waiting.seen(Poll::Ready(())).is_ready());
        }
        assert!(waiting.seen(Poll::<()>::Pending).is_pending());
        pass(4);
        drop(waiting);
        pass(6);
    });
    assert_eq!(request.end(), (vec![(DATABASE, 25.0)], 39.0));
}

#[test]
fn nested_segments_are_counted_once() {
    let mut request = Request::new();
    let clock = request.clock.clone();
    request.run(segment("outer").run(async {
        working(&clock, 1, 1).await;
        segment(DATABASE)
            .run(async {
                working(&clock, 2, 10).await;
                let _guard = segment("inner").enter();
                clock.advance(Duration::from_millis(5));
            })
            .await;
        working(&clock, 1, 2).await;
    }));
    let (parts, rest) = request.end();
    assert_eq!(parts, [(DATABASE, 20.0), ("inner", 5.0), ("outer", 3.0)]);
    assert_eq!(rest, 0.0);
}

/// Two at once, polled one after the other, each poll 2 ms: both wait all the time, so each gets half of it.
#[test]
fn concurrent_segments_share() {
    let mut request = Request::new();
    let clock = request.clock.clone();
    let mut one = Box::pin(segment("a").run(working(&clock, 4, 2)));
    let mut two = Box::pin(segment("b").run(working(&clock, 4, 2)));
    let (mut first, mut second) = (false, false);
    request.run(poll_fn(|cx| {
        first = first || one.as_mut().poll(cx).is_ready();
        second = second || two.as_mut().poll(cx).is_ready();
        if first && second {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }));
    let (parts, rest) = request.end();
    // `a` is alone for its first 2 ms and `b` for its last 2.
    assert_eq!(parts, [("a", 8.0), ("b", 8.0)]);
    assert_eq!(rest, 0.0);
}

#[test]
fn a_segment_that_is_given_up_ends_there() {
    let mut request = Request::new();
    let clock = request.clock.clone();
    let mut given_up = Some(Box::pin(segment("a").run(pending::<()>())));
    let mut polls = 0;
    request.run(poll_fn(|cx| {
        polls += 1;
        clock.advance(Duration::from_millis(10));
        match given_up.as_mut().filter(|_| polls < 3) {
            Some(waiting) => waiting.as_mut().poll(cx),
            None => {
                given_up = None;
                if polls < 5 {
                    Poll::Pending
                } else {
                    Poll::Ready(())
                }
            }
        }
    }));
    assert_eq!(request.end(), (vec![("a", 20.0)], 30.0));
}

#[test]
fn a_request_that_is_dropped_ends_what_is_open() {
    let mut request = Request::new();
    let clock = request.clock.clone();
    let mut waiting = Box::pin(segment("a").run(pending::<()>()));
    assert!(request.poll(waiting.as_mut()).is_pending());
    clock.advance(Duration::from_millis(30));
    assert_eq!(request.end(), (vec![("a", 30.0)], 0.0));
    // Outside of a poll, and of a request that is over.
    drop(waiting);
}

#[test]
fn a_segment_of_one_request_does_not_end_in_another() {
    let (mut one, mut two) = (Request::new(), Request::new());
    let mut wanders = Box::pin(segment("a").run(working(&one.clock, 2, 5)));
    assert!(one.poll(wanders.as_mut()).is_pending());
    two.run(segment("b").run(working(&two.clock.clone(), 1, 3)));
    assert!(two.poll(wanders.as_mut()).is_ready());
    one.clock.advance(Duration::from_millis(7));
    assert_eq!(two.end().0, [("b", 3.0)]);
    // Nobody told it that its segment has ended, so it lasts as long as the request.
    assert_eq!(one.end().0, [("a", 17.0)]);
}

#[test]
fn what_is_spawned_in_the_request_counts_and_what_is_spawned_outside_does_not() {
    let mut request = Request::new();
    let clock = request.clock.clone();
    let (mut carried, mut lost) = request.run(async {
        let carried = in_request(segment("a").run(working(&clock, 2, 5)));
        (
            Box::pin(carried),
            Box::pin(segment("b").run(working(&clock, 2, 5))),
        )
    });
    let mut cx = Context::from_waker(Waker::noop());
    std::thread::scope(|scope| {
        let (carried, lost) = (&mut carried, &mut lost);
        scope.spawn(move || {
            let mut cx = Context::from_waker(Waker::noop());
            while carried.as_mut().poll(&mut cx).is_pending() {}
            while lost.as_mut().poll(&mut cx).is_pending() {}
        });
    });
    assert_eq!(request.end(), (vec![("a", 10.0)], 10.0));

    let mut nobody = pin!(in_request(async { is_any() }));
    assert!(matches!(nobody.as_mut().poll(&mut cx), Poll::Ready(false)));
}

#[test]
#[expect(
    clippy::async_yields_async,
    reason = "a task is handed out, as a handler spawns it"
)]
fn a_task_that_outlives_its_request_is_not_counted() {
    let mut request = Request::new();
    let clock = request.clock.clone();
    let mut late = request.run(async {
        Box::pin(in_request(async {
            segment("a").run(working(&clock, 2, 5)).await;
            segment("b").run(working(&clock, 1, 5)).await;
        }))
    });
    let mut cx = Context::from_waker(Waker::noop());
    assert!(late.as_mut().poll(&mut cx).is_pending());
    assert_eq!(request.end(), (vec![("a", 5.0)], 0.0));
    assert!(late.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn a_panic_puts_back_what_was_current() {
    let mut request = Request::new();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        request.run(segment("a").run(async { panic!("on purpose") }));
    }));
    assert!(caught.is_err());
    assert!(!is_any());
    assert_eq!(request.end().0, [("a", 0.0)]);
}

#[test]
fn requests_inside_of_requests_are_their_own() {
    let mut outer = Request::new();
    let mut inner = Request::new();
    let clock = outer.clock.clone();
    outer.run(segment("a").run(async {
        clock.advance(Duration::from_millis(1));
        inner.run(segment("b").run(working(&inner.clock.clone(), 1, 9)));
        clock.advance(Duration::from_millis(1));
    }));
    assert_eq!(outer.end(), (vec![("a", 2.0)], 0.0));
    assert_eq!(inner.end(), (vec![("b", 9.0)], 0.0));
}

#[test]
fn a_timeline_is_as_small_as_it_is_said_to_be() {
    let bytes = size_of::<super::timeline::Timeline>();
    let most = if cfg!(feature = "statements") {
        1_200
    } else {
        300
    };
    assert!(bytes <= most, "{bytes}");
}

#[test]
fn without_a_segment_nothing_is_kept() {
    let mut request = Request::new();
    request.run(working(&request.clock.clone(), 3, 1));
    assert!(request.frame.is_unused());
    assert_eq!(request.end(), (Vec::new(), 0.0));
    // Nor outside of any request.
    assert_eq!(segment("a").measure(|| 7), 7);
}

#[test]
fn routes_beyond_the_bound_are_counted_together() {
    let (layer, accounts) = layer(&Clock::manual());
    for at in 0..2 * MAX_SEGMENT_ROUTES {
        let mut frame = Frame::new(layer.id());
        let entered = frame.enter(OUTSIDE);
        segment("a").measure(|| ());
        drop(entered);
        frame.end(|| (at as u32 + 1, "GET"), 5);
    }
    let report = TimeReport::of(&accounts, names, Window::SinceStart);
    assert_eq!(report.routes.len(), MAX_SEGMENT_ROUTES);
    let overflow = report.routes.iter().find(|row| row.method == "*");
    assert_eq!(overflow.unwrap().requests as usize, MAX_SEGMENT_ROUTES + 1);
    assert_eq!(report.overflowed_requests as usize, MAX_SEGMENT_ROUTES + 1);
    assert_eq!(report.dropped_requests, 0);
}

#[test]
fn threads_lose_no_request() {
    let (layer, accounts) = layer(&Clock::manual());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    let mut frame = Frame::new(layer.id());
                    let entered = frame.enter(OUTSIDE);
                    segment("a").measure(|| ());
                    drop(entered);
                    frame.end(|| ROUTE, 5);
                }
            });
        }
        scope.spawn(|| (0..200).for_each(|_| accounts.fold()));
    });
    let report = TimeReport::of(&accounts, names, Window::SinceStart);
    assert_eq!(report.routes[0].requests + report.dropped_requests, 8_000);
    assert_eq!(
        report.routes[0].parts[0].requests,
        report.routes[0].requests
    );
}

#[test]
fn the_verdict_has_the_numbers() {
    let mut request = Request::new();
    let clock = request.clock.clone();
    request.run(async {
        segment(POOL).run(working(&clock, 2, 30)).await;
        segment(DATABASE).run(working(&clock, 1, 20)).await;
        working(&clock, 1, 20).await;
    });
    let now = request.accounts.now();
    request.frame.end(|| ROUTE, now);
    let report = TimeReport::of(&request.accounts, names, Window::FifteenMinutes);
    assert_eq!(
        report.routes[0].verdict,
        "GET /orders/{id} takes 100.0 ms on average in the last 15 min: 60 % waiting for a connection (60.0 ms), \
         20 % the database (20.0 ms), 20 % the rest (20.0 ms) (n = 1)"
    );
}

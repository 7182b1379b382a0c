//! How long `GET /status` takes.

use std::time::{Duration, Instant};

use pitcrew_stack::bench::{Figure, ROUNDS, interval};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Progress, Result};

use super::fault;
use super::service::{ROUTES, Service};

/// Requests of a round.
const ASKED: usize = 100;
/// The pause between two: so that what is kept for a while is asked for anew again and again, which back to back it would hardly be.
const PAUSE: Duration = Duration::from_millis(100);
/// Visits of routes before each, so that there are new times to tell.
const VISITS: usize = 10;

/// The 99th percentile of each round.
pub(super) fn figures(service: &Service, signals: &Signals) -> Result<Vec<Figure>> {
    let (mut operator, mut visitor) = (service.client()?, service.client()?);
    let told = operator.told("/performance/status")?;
    let series = told["response_times"]["count"].as_u64().unwrap_or(0);
    if series < ROUTES as u64 || told["next_action"].is_null() {
        return Err(fault(format!("the status tells too little: {told}")));
    }
    let (mut p99, mut medians, mut route) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let mut times = Vec::with_capacity(ASKED);
        for _ in 0..ASKED {
            signals.wait(Some(PAUSE));
            signals.check()?;
            for _ in 0..VISITS {
                route = (route + 1) % ROUTES;
                visitor.get(&format!("/route-{route}/0"))?;
            }
            let begin = Instant::now();
            operator.get("/performance/status")?;
            times.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        // Nearest rank.
        p99.push(times[ASKED * 99 / 100 - 1]);
        medians.push(times[ASKED / 2]);
    }
    let worst = p99.iter().copied().fold(0.0, f64::max);
    Progress::Print.say(format!("the worst round's p99: {worst:.2} ms"));
    Ok(vec![
        Figure::own("status_ms", "ms", interval(&p99)),
        Figure::own("status_p50_ms", "ms", interval(&medians)),
    ])
}

//! What pitcrew costs the demo's service while nobody asks it for anything: the service less the same one without pitcrew, on the same
//! database, over the same minutes. In each minute the admin router asks the database once for its figures.

use std::time::{Duration, Instant};

use pitcrew_stack::bench::{Figure, HttpServer, free_address, interval};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Progress, Result, Stack, TEMPLATE};

use super::client::Client;
use super::installed;

const MINUTE: Duration = Duration::from_secs(60);
/// Minutes that are looked at.
const MINUTES: usize = 6;
/// Requests to each before it rests: it is a service that was used.
const VISITS: usize = 600;

pub(super) fn figures(stack: &Stack, signals: &Signals) -> Result<Vec<Figure>> {
    let postgres = stack.postgres();
    let postgres = postgres.ok_or_else(|| Error::Extension("the stack has no Postgres".into()))?;
    postgres.create_database_from("rest", TEMPLATE)?;
    // What fills the database has taken memory for it that neither of the two should have at hand.
    Progress::Print.step("fill the demo's database", || {
        demo(stack, &["--plain"]).map(drop)
    })?;
    let with = demo(stack, &["--filled"])?;
    let without = demo(stack, &["--filled", "--plain"])?;
    for server in [&with, &without] {
        visit(server)?;
    }
    // What the visits left to do is done, and the memory layer's first minute over.
    signals.wait(Some(MINUTE));
    let (mut percents, mut megabytes, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..MINUTES {
        signals.check()?;
        let begin = Instant::now();
        let before = [with.cpu_ns()?, without.cpu_ns()?];
        signals.wait(Some(MINUTE));
        signals.check()?;
        let share = |server: &HttpServer, before: f64| -> Result<f64> {
            Ok((server.cpu_ns()? - before) / begin.elapsed().as_nanos() as f64 * 100.0)
        };
        let (ours, theirs) = (share(&with, before[0])?, share(&without, before[1])?);
        percents.push(ours - theirs);
        plain.push(without.resident_bytes()? / 1e6);
        megabytes.push((with.resident_bytes()? - without.resident_bytes()?) / 1e6);
    }
    Ok(vec![
        Figure::own("pitcrew_cost_cpu_percent", "%", interval(&percents)),
        Figure::own("pitcrew_cost_mb", "MB", interval(&megabytes)),
        Figure::own("service_without_mb", "MB", interval(&plain)),
    ])
}

/// The demo's service, once it listens.
fn demo(stack: &Stack, more: &[&str]) -> Result<HttpServer> {
    let (dir, mut command) = installed(stack.slot(), "demo")?;
    let address = free_address()?;
    command.args(["--listen", &address]).args(more);
    if let Some(postgres) = stack.postgres() {
        command.env("PITCREW_DEMO_DATABASE_URL", postgres.url("rest"));
    }
    if let Some(redis) = stack.redis() {
        command.env("PITCREW_DEMO_REDIS_URL", redis.url());
    }
    HttpServer::start(stack.slot(), "the demo", command, &dir, &address)
}

fn visit(server: &HttpServer) -> Result<()> {
    let mut visitor = Client::connect(server.address(), "")?;
    for visit in 0..VISITS {
        let key = 1 + visit % 100;
        let path = match visit % 3 {
            0 => format!("/customers/{key}/orders"),
            1 => format!("/parts/{key}/sales"),
            _ => format!("/orders/{key}"),
        };
        // Some orders are not there, which is an answer too.
        let _ = visitor.get(&path);
    }
    Ok(())
}

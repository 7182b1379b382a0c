//! `pitcrew.pool_advice`: busy sessions are counted between two samples, and a sample that says nothing is told so.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::sql::literal;
use pitcrew_stack::{require, testing};
use support::Session;

#[test]
fn busy_sessions_are_counted_between_two_samples() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let sample = session.text("SELECT pitcrew.pool_sample()");
    // Two sessions that do something all the time, and one that is open.
    let idle = Session::open(&database.url);
    idle.run("SELECT 1");
    let busy: Vec<_> = (0..2)
        .map(|_| {
            let url = database.url.clone();
            std::thread::spawn(move || Session::open(&url).run("SELECT pg_sleep(2)"))
        })
        .collect();
    for thread in busy {
        thread.join().unwrap();
    }
    // A session tells its counters when it is through with a statement, or at its end.
    session.until(
        "SELECT active_time > 4000 FROM pg_stat_database WHERE datname = current_database()",
        "t",
    );
    let advice = format!("FROM pitcrew.pool_advice({})", literal(&sample));
    let seconds = session.number(&format!("SELECT seconds {advice}"));
    let row = session.run(&format!(
        "SELECT busy * seconds >= 4, busy * seconds, pool_size = ceil(busy + 3 * sqrt(busy)), wasted >= 0, max_connections, detail {advice}"
    ));
    let cell = |place: usize| row[0][place].clone().unwrap();
    assert!(seconds >= 2.0);
    assert_eq!(cell(0), "t", "{row:?}");
    // No more than two sessions and this one's own statements.
    assert!(
        cell(1).parse::<f64>().unwrap() < 3.0 * seconds + 3.0,
        "{row:?}"
    );
    assert_eq!((cell(2).as_str(), cell(3).as_str()), ("t", "t"), "{row:?}");
    assert_eq!(cell(4), session.text("SHOW max_connections"));
    assert!(cell(5).contains("sessions were busy on average"), "{row:?}");
}

#[test]
fn a_sample_that_says_nothing_is_told_so() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let sample = session.text("SELECT pitcrew.pool_sample()");
    let told = |sample: &str| {
        let rows = session.run(&format!(
            "SELECT detail, busy, pool_size, wasted FROM pitcrew.pool_advice({})",
            literal(sample)
        ));
        assert_eq!(rows[0][1..], [None, None, None]);
        rows[0][0].clone().unwrap()
    };
    assert!(told("{}").contains("no sample"));
    assert!(told(&sample).contains("less than a second"));
    assert!(told(&sample.replace(&database.name, "another")).contains("of another database"));
    session.run("SELECT pg_stat_reset()");
    session.until(
        "SELECT stats_reset IS NOT NULL FROM pg_stat_database WHERE datname = current_database()",
        "t",
    );
    assert!(told(&sample).contains("reset since that sample"));
}

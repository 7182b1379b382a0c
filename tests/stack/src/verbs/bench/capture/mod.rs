//! Suite `capture`: what captured executions cost a statement, beside pg_stat_statements and alone, and what the hooks cost
//! while they are off.
//!
//! One look-up by a primary key, prepared, 400 to a message; processor time of the server process. Every round measures each
//! setting once, in shuffled order, and what counts is the least of 40 rounds: medians drown a tenth of a microsecond. Within one
//! session only settings are changed, so that memory lies the same.

mod wire;

use pitcrew_stack::bench::{Figure, Interval};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Options, Postgres, PostgresOptions, Progress, Result, Stack};

use super::choices::Choices;
use wire::Wire;

const ROUNDS: usize = 40;
/// Rounds of which the least is taken once more, for the range of a figure.
const PART: usize = 10;
/// Messages of a reading, of which the least counts.
const GOES: usize = 12;
const STATEMENT: &str = "SELECT name FROM items WHERE id = $1";

/// What is switched in a session for a reading.
#[derive(Clone, Copy)]
struct Reading {
    server: usize,
    settings: &'static str,
}

const BESIDE_OFF: usize = 1;
const BESIDE_ON: usize = 2;
const ALONE_OFF: usize = 3;
const ALONE_ON: usize = 4;
const ALONE_EVERY: usize = 5;
const BESIDE_EVERY: usize = 6;
const NO_HOOK: usize = 7;

/// By the numbers above; the first is a server that counts nothing.
const READINGS: [Reading; 8] = [
    Reading {
        server: 0,
        settings: "SET pg_stat_statements.track = none; SET pitcrew.capture = off",
    },
    Reading {
        server: 0,
        settings: "SET pg_stat_statements.track = top; SET pitcrew.capture = off",
    },
    Reading {
        server: 0,
        settings: "SET pg_stat_statements.track = top; SET pitcrew.capture = 'all'; SET pitcrew.capture_min_duration = '1s'",
    },
    Reading {
        server: 1,
        settings: "SET pitcrew.capture = off",
    },
    Reading {
        server: 1,
        settings: "SET pitcrew.capture = 'all'; SET pitcrew.capture_min_duration = '1s'",
    },
    Reading {
        server: 1,
        settings: "SET pitcrew.capture = 'all'; SET pitcrew.capture_min_duration = 0",
    },
    Reading {
        server: 0,
        settings: "SET pg_stat_statements.track = top; SET pitcrew.capture = 'all'; SET pitcrew.capture_min_duration = 0",
    },
    Reading {
        server: 2,
        settings: "SET pitcrew.capture = off",
    },
];

/// What the figures have to stay within.
const BARS: [(&str, f64); 2] = [
    ("capture_us_with_pgss", 0.05),
    ("capture_alone_vs_pgss", 1.25),
];

pub(super) fn run(signals: &Signals) -> Result<Vec<Figure>> {
    let stack = Stack::start(Options {
        redis: false,
        progress: Progress::Print,
        ..Options::default()
    })?;
    let server = stack
        .postgres()
        .ok_or_else(|| Error::Extension("the stack has no Postgres".into()))?
        .server();
    if !server.has_extension("pg_stat_statements") {
        return Err(Error::Extension(
            "this server has no pg_stat_statements to compare with".into(),
        ));
    }
    let start = |preload: &[&str], slots: &str| -> Result<Postgres> {
        let options = PostgresOptions {
            preload: preload.iter().map(|name| (*name).to_owned()).collect(),
            settings: [
                ("autovacuum", "off"),
                ("jit", "off"),
                ("pitcrew.history", "off"),
                ("pitcrew.capture_slots", slots),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
            ..PostgresOptions::default()
        };
        let postgres = Postgres::start(stack.slot(), server, options)?;
        postgres.run(
            "postgres",
            &[
                "CREATE TABLE items (id int PRIMARY KEY, name text)",
                "INSERT INTO items SELECT g, 'name ' || g FROM generate_series(0, 99) g",
                "VACUUM ANALYZE items",
            ],
        )?;
        Ok(postgres)
    };
    let servers = [
        start(&["pg_stat_statements", "pg_pitcrew"], "512")?,
        start(&["pg_pitcrew"], "512")?,
        start(&["pg_pitcrew"], "0")?,
    ];
    let mut sessions = Vec::new();
    for postgres in &servers {
        let socket = format!(".s.PGSQL.{}", postgres.port());
        let socket = postgres.socket_dir().join(socket);
        sessions.push(Wire::open(&socket, "postgres", STATEMENT)?);
    }
    let columns = rounds(&mut sessions, signals)?;
    Ok(figures(&columns))
}

/// Nanoseconds, a column for each reading.
fn rounds(sessions: &mut [Wire], signals: &Signals) -> Result<Vec<Vec<f64>>> {
    let mut choices = Choices::from_environment()?;
    let mut columns = vec![Vec::with_capacity(ROUNDS); READINGS.len()];
    for round in 0..=ROUNDS {
        signals.check()?;
        let mut left: Vec<usize> = (0..READINGS.len()).collect();
        while !left.is_empty() {
            let number = left.swap_remove(choices.below(left.len()));
            let reading = READINGS[number];
            let session = &mut sessions[reading.server];
            session.run(reading.settings)?;
            // Warm, with these settings.
            session.measure(1)?;
            let ns = session.measure(GOES)?;
            // The first round warms everything else.
            if round > 0 {
                columns[number].push(ns);
            }
        }
    }
    Ok(columns)
}

fn least(readings: &[f64]) -> f64 {
    readings.iter().copied().fold(f64::INFINITY, f64::min)
}

/// A figure of the least readings, and its range over parts of the rounds.
fn of_least(columns: &[Vec<f64>], figure: impl Fn(&dyn Fn(usize) -> f64) -> f64) -> Interval {
    let whole = figure(&|number| least(&columns[number]));
    let parts: Vec<f64> = (0..ROUNDS / PART)
        .map(|part| figure(&|number| least(&columns[number][part * PART..(part + 1) * PART])))
        .collect();
    Interval {
        value: whole,
        low: least(&parts),
        high: parts.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    }
}

fn figures(columns: &[Vec<f64>]) -> Vec<Figure> {
    let us = |name: &str, on: usize, off: usize| {
        let reading = of_least(columns, |of| (of(on) - of(off)) / 1e3);
        Figure::own(name, "us", reading)
    };
    for (name, bar) in BARS {
        Progress::Print.say(format!("{name}: the bar is {bar}"));
    }
    vec![
        us("capture_us_with_pgss", BESIDE_ON, BESIDE_OFF),
        Figure::own(
            "capture_alone_vs_pgss",
            "ratio",
            of_least(columns, |of| {
                (of(ALONE_ON) - of(ALONE_OFF)) / (of(BESIDE_OFF) - of(0))
            }),
        ),
        us("capture_off_us", ALONE_OFF, NO_HOOK),
        us("capture_pgss_us", BESIDE_OFF, 0),
        us("capture_alone_us", ALONE_ON, ALONE_OFF),
        us("capture_alone_every_us", ALONE_EVERY, ALONE_OFF),
        us("capture_every_us_with_pgss", BESIDE_EVERY, BESIDE_OFF),
        Figure::own(
            "capture_statement_us",
            "us",
            of_least(columns, |of| of(0) / 1e3),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_that_of_the_least_readings() {
        let columns: Vec<Vec<f64>> = (0..READINGS.len())
            .map(|number| {
                let slow = |round: usize| if round % 7 == 3 { 0.0 } else { 500.0 };
                (0..ROUNDS)
                    .map(|round| 7_000.0 + 100.0 * number as f64 + slow(round))
                    .collect()
            })
            .collect();
        let found = figures(&columns);
        let value = |name: &str| {
            found
                .iter()
                .find(|figure| figure.figure == name)
                .unwrap()
                .value
        };
        assert!((value("capture_us_with_pgss") - 0.1).abs() < 1e-9);
        assert!((value("capture_alone_vs_pgss") - 1.0).abs() < 1e-9);
        assert!((value("capture_off_us") + 0.4).abs() < 1e-9);
    }
}

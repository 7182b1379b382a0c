//! Part `oltp`: pgbench's tables with look-ups by columns that are no key and many writes: which indexes are suggested, which are
//! refused, and what an index on a counter then costs against what was said that it would.
//!
//! The load runs once, and what the server counted of it is all that advice has. Then the refused index is built nevertheless:
//! every round runs the same updates with it and without it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use pitcrew_stack::bench::{Figure, Interval, Reading, interval, quotients, rounds};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Postgres, PostgresOptions, Progress, Result, Server, Stack};
use serde_json::Value;

use super::prediction::number;

const DATABASE: &str = "oltp";
/// pgbench's: 100,000 accounts each.
const SCALE: &str = "20";
const CLIENTS: &str = "2";
/// Of the load, for each client; and of each reading.
const LOAD: &str = "60000";
const READING: &str = "10000";
/// Of which the least CPU and the highest rate count: whatever else runs on the machine only adds to the one and takes of the other.
const GOES: usize = 3;
/// How long an ended session's process may take to go, and how often that is looked at.
const GONE_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Statistics that stay, and nothing that runs beside.
const SETTINGS: [(&str, &str); 6] = [
    ("autovacuum", "off"),
    ("jit", "off"),
    ("pitcrew.history", "off"),
    ("shared_buffers", "1GB"),
    ("max_wal_size", "4GB"),
    ("max_parallel_workers_per_gather", "0"),
];

/// What is added to pgbench's tables: columns by which somebody looks, and a past.
const SETUP: [&str; 8] = [
    "CREATE EXTENSION pg_stat_statements",
    "CREATE EXTENSION pg_pitcrew",
    "ALTER TABLE pgbench_accounts ADD owner int, ADD email text",
    "ALTER TABLE pgbench_accounts ALTER owner TYPE int USING abs(hashint4(aid)) % 400000, \
     ALTER email TYPE text USING 'user' || aid || '@example.org'",
    "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) \
     SELECT g % 200, g % 20, 1 + abs(hashint4(g)) % 2000000, g % 1000, now() - g * interval '1 second' FROM generate_series(1, 500000) g",
    "VACUUM ANALYZE",
    "CHECKPOINT",
    "SELECT pg_stat_statements_reset(), pg_stat_reset()",
];

/// A script of pgbench, and how often it runs among the others.
struct Script {
    name: &'static str,
    weight: u32,
    text: &'static str,
}

const HIT: &str = "hit.sql";
const SCRIPTS: [Script; 5] = [
    Script {
        name: HIT,
        weight: 1000,
        text: "\\set aid random(1, 100000 * :scale)\n\\set delta random(-5000, 5000)\n\
               UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;\n",
    },
    Script {
        name: "note.sql",
        weight: 200,
        text: "\\set aid random(1, 100000 * :scale)\n\
               INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 1, :aid, 7, CURRENT_TIMESTAMP);\n",
    },
    Script {
        name: "owner.sql",
        weight: 1,
        text: "\\set owner random(0, 399999)\nSELECT aid, filler FROM pgbench_accounts WHERE owner = :owner;\n",
    },
    Script {
        name: "email.sql",
        weight: 1,
        text: "\\set aid random(1, 100000 * :scale)\n\
               SELECT aid, filler FROM pgbench_accounts WHERE email = 'user' || :aid || '@example.org';\n",
    },
    Script {
        name: "past.sql",
        weight: 1,
        text: "\\set aid random(1, 100000 * :scale)\n\
               SELECT delta, mtime FROM pgbench_history WHERE aid = :aid ORDER BY mtime DESC LIMIT 10;\n",
    },
];
/// Table and first key of the indexes that these look-ups want.
const WANTED: [(&str, &str); 3] = [
    ("public.pgbench_accounts", "owner"),
    ("public.pgbench_accounts", "email"),
    ("public.pgbench_history", "aid"),
];
/// Runs once: what it would save is less than what 100,000 updates would cost.
const RARE: &str = "SELECT aid FROM pgbench_accounts WHERE abalance BETWEEN 19990 AND 20000";
const COUNTER: &str = "(abalance)";

/// What advice says of the index on the counter, in percent.
struct Said {
    hot_loss: f64,
    write_loss: f64,
}

/// One column of each a round.
#[derive(Default)]
struct Seen {
    /// Transactions a second.
    rate: Vec<f64>,
    /// Server CPU of one transaction, in microseconds.
    cpu_us: Vec<f64>,
    updates: f64,
    hot: f64,
}

pub(super) fn measure(stack: &Stack, server: &Server, signals: &Signals) -> Result<Vec<Figure>> {
    let mut options = PostgresOptions::with_extension(server);
    options
        .settings
        .extend(SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let postgres = Postgres::start(stack.slot(), server, options)?;
    let bench = Bench {
        postgres: &postgres,
        signals,
    };
    postgres.create_database(DATABASE)?;
    Progress::Print.step("fill pgbench's tables and run a load", || bench.load())?;
    let advice = bench.advice()?;
    let mut figures = proposed(&advice)?;
    let said = said(&advice)?;
    let seen = Progress::Print.step("updates with the index and without it", || bench.rounds())?;
    figures.extend(compared(&said, &seen));
    Ok(figures)
}

struct Bench<'a> {
    postgres: &'a Postgres,
    signals: &'a Signals,
}

impl Bench<'_> {
    fn load(&self) -> Result<()> {
        self.pgbench(&["--initialize", "--quiet", "--scale", SCALE])?;
        self.run(&SETUP)?;
        let mut arguments = vec!["--transactions".to_owned(), LOAD.to_owned()];
        for script in &SCRIPTS {
            let path = self.script(script.name);
            fs::write(&path, script.text).map_err(|source| Error::Io {
                action: "write",
                path: path.clone().into(),
                source,
            })?;
            arguments.extend(["--file".into(), format!("{path}@{}", script.weight)]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.transactions(&arguments)?;
        self.run(&[RARE])?;
        let of = self.row(
            "SELECT calls, 1000 * mean_exec_time, shared_blks_hit::float8 / calls FROM pg_stat_statements \
             WHERE query LIKE 'UPDATE pgbench_accounts%'",
        )?;
        if let [calls, us, pages] = of[..] {
            Progress::Print.say(format!(
                "{calls:.0} updates of {us:.1} us and {pages:.1} pages each"
            ));
        }
        Ok(())
    }

    fn script(&self, name: &str) -> String {
        self.postgres.socket_dir().join(name).display().to_string()
    }

    fn advice(&self) -> Result<Value> {
        let found = self.run(&["SELECT pitcrew.suggest_indexes_json()"])?;
        serde_json::from_str(&found).map_err(|error| Error::Extension(error.to_string()))
    }

    /// The same updates without the index, again without it, and with it.
    fn rounds(&self) -> Result<[Seen; 3]> {
        let seen = [(); 3].map(|()| RefCell::new(Seen::default()));
        let resting = self.children()?;
        let read = |place: usize, index: &str| {
            self.run(&[
                "DROP INDEX IF EXISTS counter",
                index,
                "VACUUM pgbench_accounts",
                "CHECKPOINT",
            ])?;
            self.reading(&resting, &mut seen[place].borrow_mut())
        };
        let none = "SELECT";
        let mut measured: [Reading<'_, Error>; 3] = [
            Box::new(|| read(0, none)),
            // The control: the same thing twice.
            Box::new(|| read(1, none)),
            Box::new(|| read(2, "CREATE INDEX counter ON pgbench_accounts (abalance)")),
        ];
        rounds(20, &mut measured)?;
        drop(measured);
        Ok(seen.map(RefCell::into_inner))
    }

    fn reading(&self, resting: &BTreeSet<u32>, seen: &mut Seen) -> Result<f64> {
        let file = self.script(HIT);
        let (mut least_us, mut highest) = (f64::INFINITY, 0.0_f64);
        let before = self.updates()?;
        let mut last = before;
        for _ in 0..GOES {
            self.all_ended(resting)?;
            let cpu = self.ended_cpu_us()?;
            let said = self.transactions(&["--transactions", READING, "--file", &file])?;
            self.all_ended(resting)?;
            let spent = self.ended_cpu_us()? - cpu;
            let updates = self.updates()?;
            least_us = least_us.min(spent / (updates[0] - last[0]));
            highest = highest.max(rate(&said)?);
            last = updates;
        }
        seen.updates += last[0] - before[0];
        seen.hot += last[1] - before[1];
        seen.cpu_us.push(least_us);
        seen.rate.push(highest);
        Ok(least_us)
    }

    /// Updates of the accounts so far, and those that were HOT.
    fn updates(&self) -> Result<[f64; 2]> {
        let counts = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'pgbench_accounts'";
        let row = self.row(counts)?;
        row.try_into()
            .map_err(|_| Error::Extension("the accounts have no statistics".into()))
    }

    /// Prepared, as applications send them.
    fn transactions(&self, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["--no-vacuum", "--protocol=prepared", "--client", CLIENTS];
        all.extend(arguments);
        self.pgbench(&all)
    }

    fn pgbench(&self, arguments: &[&str]) -> Result<String> {
        self.signals.check()?;
        let mut all = arguments.to_vec();
        all.push(DATABASE);
        self.postgres.program("pgbench", &all)
    }

    /// CPU of the server's processes that have ended, the backends of a run among them, in microseconds.
    fn ended_cpu_us(&self) -> Result<f64> {
        let stat =
            fs::read_to_string(format!("/proc/{}/stat", self.pid()?)).map_err(|_| no_cpu())?;
        // Times of waited-for children are the 16th and 17th, after a name that may have blanks.
        let (_, rest) = stat.rsplit_once(')').ok_or_else(no_cpu)?;
        let ticks = rest.split_whitespace().skip(13).take(2);
        let ticks: Vec<f64> = ticks.filter_map(|ticks| ticks.parse().ok()).collect();
        // SAFETY: sysconf has no preconditions.
        let a_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
        match ticks[..] {
            [user, system] if a_second > 0.0 => Ok((user + system) * 1e6 / a_second),
            _ => Err(no_cpu()),
        }
    }

    fn children(&self) -> Result<BTreeSet<u32>> {
        let pid = self.pid()?;
        let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let listed = listed.map_err(|_| no_cpu())?;
        Ok(listed
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect())
    }

    /// Waits until every process that came since `before` was taken is gone: only then its CPU is counted.
    fn all_ended(&self, before: &BTreeSet<u32>) -> Result<()> {
        let end = Instant::now() + GONE_WITHIN;
        while !self.children()?.is_subset(before) {
            self.signals.check()?;
            if Instant::now() >= end {
                return Err(Error::Extension("a backend does not end".into()));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    fn pid(&self) -> Result<u32> {
        self.postgres.pid().ok_or_else(no_cpu)
    }

    fn run(&self, statements: &[&str]) -> Result<String> {
        let rows = self.postgres.run(DATABASE, statements)?;
        let first = rows
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next());
        Ok(first.flatten().unwrap_or_default())
    }

    fn row(&self, statement: &str) -> Result<Vec<f64>> {
        let rows = self.postgres.run(DATABASE, &[statement])?;
        let row = rows.into_iter().next().unwrap_or_default();
        row.iter()
            .map(|value| number(value.as_deref().unwrap_or_default()))
            .collect()
    }
}

fn no_cpu() -> Error {
    Error::Extension("the server's CPU time cannot be read".into())
}

fn rate(said: &str) -> Result<f64> {
    let rate = said
        .split_once("tps = ")
        .and_then(|(_, rest)| rest.split_whitespace().next());
    number(rate.unwrap_or_default())
}

/// How many of the look-ups get their index, and whether the counter's is refused for its writes.
fn proposed(advice: &Value) -> Result<Vec<Figure>> {
    let lacks = |what: &str| Error::Extension(format!("suggest_indexes_json has no {what}"));
    let suggestions = advice["suggestions"]
        .as_array()
        .ok_or_else(|| lacks("suggestions"))?;
    for suggestion in suggestions {
        Progress::Print.say(format!(
            "    {}: {}",
            suggestion["ddl"], suggestion["detail"]
        ));
    }
    let found = WANTED.iter().filter(|(table, key)| {
        let mut all = suggestions.iter();
        all.any(|of| of["table"] == *table && of["columns"][0] == *key)
    });
    let holds_counter = |of: &&Value| {
        let stored = [&of["columns"], &of["included"]];
        stored.iter().any(|list| {
            list.as_array()
                .is_some_and(|list| list.iter().any(|column| column == "abalance"))
        })
    };
    let is_suggested = suggestions.iter().any(|of| holds_counter(&of));
    let refused =
        refused(advice).is_some_and(|of| of["because"] == "its writes cost more than it saves");
    let share = 100.0 * found.count() as f64 / WANTED.len() as f64;
    Progress::Print
        .say("oltp_lookups_proposed: the bar is 100 %; oltp_refused: the bar is 1 index");
    Ok(vec![
        Figure::own("oltp_lookups_proposed", "%", exactly(share)),
        Figure::own(
            "oltp_refused",
            "indexes",
            exactly(f64::from(u8::from(refused && !is_suggested))),
        ),
    ])
}

fn refused(advice: &Value) -> Option<&Value> {
    let mut rejected = advice["rejected"].as_array()?.iter();
    rejected.find(|of| of["columns"] == COUNTER && of["table"] == "public.pgbench_accounts")
}

fn said(advice: &Value) -> Result<Said> {
    let figure = |name: &str| {
        let of = refused(advice).and_then(|of| of[name].as_f64());
        of.ok_or_else(|| {
            Error::Extension(format!(
                "advice says no {name} of {COUNTER}: {}",
                advice["rejected"]
            ))
        })
    };
    Ok(Said {
        hot_loss: figure("hot_loss_percent")?,
        write_loss: figure("write_loss_percent")?,
    })
}

/// What was said against what was then seen; CPU is what bounds the server, and it is there whoever else is on the machine.
fn compared(said: &Said, [without, again, with]: &[Seen; 3]) -> Vec<Figure> {
    let share = |seen: &Seen| 100.0 * seen.hot / seen.updates;
    let hot = exactly(share(without) - share(with));
    let lost = |quotients: Vec<f64>| interval(&quotients).map(|kept| 100.0 * (1.0 - kept));
    let cpu = lost(quotients(&without.cpu_us, &with.cpu_us));
    let rate = lost(quotients(&with.rate, &without.rate));
    let noise = lost(quotients(&without.cpu_us, &again.cpu_us));
    let rate_noise = lost(quotients(&again.rate, &without.rate));
    let row = |name: &str, said: f64, seen: Interval, noise: Option<Interval>| {
        Progress::Print.say(format!(
            "{name}: said {said:.1} %, seen {:.1} % ({:.1} to {:.1}); with itself {}",
            seen.value,
            seen.high,
            seen.low,
            noise.map_or_else(|| "-".into(), |noise| format!("{:.1} %", noise.value))
        ));
        let error = |seen: f64| 100.0 * (said - seen).abs() / seen.abs().max(f64::MIN_POSITIVE);
        let ends = [error(seen.low), error(seen.high)];
        // Where what was said lies within the interval there may be no error at all.
        let holds = (said - seen.low) * (said - seen.high) <= 0.0;
        Figure {
            ours: Some(said),
            peer: Some(seen.value),
            ..Figure::own(
                name,
                "%",
                Interval {
                    value: error(seen.value),
                    low: if holds { 0.0 } else { ends[0].min(ends[1]) },
                    high: ends[0].max(ends[1]),
                },
            )
        }
    };
    Progress::Print.say("hot_loss_error_pct, tps_loss_error_pct: the bar is 20 %");
    vec![
        row("hot_loss_error_pct", said.hot_loss, hot, None),
        row("tps_loss_error_pct", said.write_loss, cpu, Some(noise)),
        row(
            "tps_loss_wall_error_pct",
            said.write_loss,
            rate,
            Some(rate_noise),
        ),
    ]
}

/// Counted once.
fn exactly(value: f64) -> Interval {
    Interval {
        value,
        low: value,
        high: value,
    }
}

//! Part `large`: a warehouse of 24 tables with skewed and correlated columns, 96 queries on it, and how long advice takes.
//!
//! All of it is made by rule: the tables by SQL, the queries by one generator with a seed.

use std::fmt::Write as _;
use std::time::Instant;

use pitcrew_stack::bench::{Figure, Interval};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Progress, Result};
use serde_json::Value;
use tokio_postgres::Client;

use super::prediction::number;
use super::{extend, one, quoted, run};

const BUDGET_MB: u32 = 500;
const SEED: u64 = 7;
/// Queries of each kind.
const VARIANTS: usize = 12;

/// A table of facts: name, rows, the dimensions that it refers to.
struct Fact {
    name: &'static str,
    rows: u32,
    refers_to: &'static [&'static str],
}

/// Facts share dimensions, as in a real warehouse.
const FACTS: [Fact; 6] = [
    Fact {
        name: "sales",
        rows: 4_000_000,
        refers_to: &[
            "customer",
            "item",
            "store",
            "promotion",
            "employee",
            "channel",
        ],
    },
    Fact {
        name: "refunds",
        rows: 400_000,
        refers_to: &["customer", "item", "store", "reason"],
    },
    Fact {
        name: "shipments",
        rows: 2_400_000,
        refers_to: &["item", "warehouse", "carrier", "route", "customer"],
    },
    Fact {
        name: "visits",
        rows: 3_200_000,
        refers_to: &["customer", "page", "device", "campaign", "referrer"],
    },
    Fact {
        name: "stock",
        rows: 1_200_000,
        refers_to: &["item", "warehouse", "supplier"],
    },
    Fact {
        name: "tickets",
        rows: 600_000,
        refers_to: &["customer", "employee", "reason", "item"],
    },
];

/// Dimensions: name and rows.
const DIMENSIONS: [(&str, u32); 18] = [
    ("customer", 60_000),
    ("item", 20_000),
    ("store", 400),
    ("promotion", 1_000),
    ("employee", 3_000),
    ("channel", 12),
    ("reason", 50),
    ("warehouse", 60),
    ("carrier", 20),
    ("route", 5_000),
    ("page", 8_000),
    ("device", 200),
    ("campaign", 700),
    ("referrer", 2_500),
    ("supplier", 1_500),
    ("region", 25),
    ("brand", 600),
    ("calendar", 1_500),
];

/// Asks for advice once, as a user would, and the peer.
pub(super) async fn measure(
    client: &Client,
    peer: Option<&Client>,
    signals: &Signals,
) -> Result<Vec<Figure>> {
    Progress::Print.say("fill a warehouse of 24 tables");
    for statement in schema() {
        signals.check()?;
        run(client, &statement).await?;
    }
    run(client, "VACUUM ANALYZE").await?;
    let queries = queries();
    let texts: Vec<String> = queries.iter().map(|text| quoted(text)).collect();
    let call = format!(
        "SELECT pitcrew.suggest_indexes_json(budget_mb => {BUDGET_MB}, max_indexes => 1000, min_gain_percent => 0, queries => ARRAY[{}])",
        texts.join(", ")
    );
    // However busy the machine is, the search is to be measured, not stopped.
    run(client, "SET pitcrew.suggest_timeout = 0").await?;
    let before = cpu_seconds(client).await?;
    let (seconds, answer) = ask(client, &call).await?;
    let cpu = cpu_seconds(client).await? - before;
    let lacks = |what: &str| Error::Extension(format!("suggest_indexes_json has no {what}"));
    let figure = |name: &str| answer[name].as_f64().ok_or_else(|| lacks(name));
    if let Some(reason) = answer["stopped_because"].as_str() {
        return Err(Error::Extension(format!(
            "the search was stopped: {reason}"
        )));
    }
    let statements = answer["statements"]
        .as_array()
        .ok_or_else(|| lacks("statements"))?;
    let skipped = statements
        .iter()
        .find_map(|of| of["skipped_because"].as_str());
    if let Some(reason) = skipped {
        return Err(Error::Extension(format!(
            "a query was not planned: {reason}"
        )));
    }
    Progress::Print.say(format!(
        "{} queries, {} candidates: cost {:.0} to {:.0} with {} indexes, {seconds:.2} s, {:.0} planner calls",
        queries.len(),
        figure("candidates")?,
        figure("cost_before")?,
        figure("cost_after")?,
        answer["suggestions"].as_array().map_or(0, Vec::len),
        figure("planner_calls")?,
    ));
    let own = |name: &str, unit: &str, value: f64| {
        // One reading each, of the whole call.
        let reading = Interval {
            value,
            low: value,
            high: value,
        };
        Figure::own(name, unit, reading)
    };
    let calls = figure("planner_calls")?;
    let mut figures = vec![
        own("large_seconds", "s", seconds),
        own("large_planner_calls", "calls", calls),
    ];
    let Some(peer) = peer else {
        return Ok(figures);
    };
    let before = cpu_seconds(peer).await?;
    let theirs = extend::suggest(peer, &queries, f64::from(BUDGET_MB), signals).await?;
    let their_cpu = cpu_seconds(peer).await? - before;
    let again = ask(client, &call).await?.0;
    Progress::Print.say(format!(
        "{cpu:.2} s of server CPU against {their_cpu:.2} s; large_vs_extend: the bar is 0.1 ratio"
    ));
    let against = |name: &str, ours: f64, peer: f64| {
        let figure = Figure {
            ours: Some(ours),
            peer: Some(peer),
            ..own(name, "ratio", ours / peer)
        };
        figure.against("plain Extend over HypoPG", &theirs.version)
    };
    figures.extend([
        Figure {
            control: Some(again / seconds),
            ..against("large_vs_extend", seconds.min(again), theirs.seconds)
        },
        // The server's part alone, whoever else is on the machine: of the peer neither its own program nor the way to it.
        against("large_cpu_vs_extend", cpu, their_cpu),
        // Of the peer nothing but the time inside the planner, of ours all of the call.
        against(
            "large_vs_extend_planning",
            seconds.min(again),
            theirs.planning_seconds,
        ),
        against("large_calls_vs_extend", calls, theirs.calls as f64),
    ]);
    Ok(figures)
}

/// CPU that the server's process of this session has taken.
async fn cpu_seconds(client: &Client) -> Result<f64> {
    let pid = one(client, "SELECT pg_backend_pid()").await?;
    let path = format!("/proc/{}/schedstat", pid[0]);
    let text = std::fs::read_to_string(&path).map_err(|source| Error::Io {
        action: "read",
        path: path.into(),
        source,
    })?;
    let ns = text.split_whitespace().next().unwrap_or_default();
    Ok(number(ns)? / 1e9)
}

/// One call, and how many seconds it took.
async fn ask(client: &Client, call: &str) -> Result<(f64, Value)> {
    let start = Instant::now();
    let answer = one(client, call).await?;
    let seconds = start.elapsed().as_secs_f64();
    let answer = serde_json::from_str(&answer[0]);
    Ok((
        seconds,
        answer.map_err(|error| Error::Extension(error.to_string()))?,
    ))
}

/// Statements that make and fill the tables.
///
/// A dimension's class follows from its group, and a fact's amount from its item: columns that go together. References to a
/// dimension are skewed: a few of its rows have most of the facts.
fn schema() -> Vec<String> {
    let mut statements = Vec::new();
    for (name, rows) in DIMENSIONS {
        statements.push(format!(
            "CREATE TABLE {name} ({name}_id int PRIMARY KEY, label varchar(40) NOT NULL, kind int NOT NULL, class int NOT NULL, \
             since date NOT NULL, score numeric(8,2) NOT NULL, is_open boolean NOT NULL)"
        ));
        statements.push(format!(
            "INSERT INTO {name} SELECT g, '{name} ' || g, {kind}, {kind} / 4, date '2015-01-01' + (g * 7919) % 3000, \
             (abs(hashint4(g)) % 100000) / 100.0, abs(hashint4(g + 3)) % 10 > 0 FROM generate_series(1, {rows}) g",
            kind = format_args!("(sqrt(abs(hashint4(g + 1))::float8 / 2147483648) * {})::int", (rows / 20).clamp(3, 200)),
        ));
    }
    for fact in FACTS {
        let mut columns = String::new();
        let mut values = String::new();
        for (position, name) in fact.refers_to.iter().enumerate() {
            let rows = rows_of(name);
            // Writing to a String cannot fail.
            let _ = write!(columns, "{name}_id int NOT NULL, ");
            let _ = write!(
                values,
                "1 + (power(abs(hashint4(g * 31 + {position}))::float8 / 2147483648, 3) * {})::int, ",
                rows - 1
            );
        }
        statements.push(format!(
            "CREATE TABLE {0} ({0}_id int PRIMARY KEY, {columns}day date NOT NULL, state char(1) NOT NULL, amount numeric(10,2) NOT NULL, \
             quantity int NOT NULL, code varchar(16) NOT NULL)",
            fact.name
        ));
        // Days follow the order of insertion, as they do where rows are only added.
        statements.push(format!(
            "INSERT INTO {} SELECT g, {values}date '2021-01-01' + (g::bigint * 1500 / {rows})::int, \
             substr('AAAAAAAABBCD', 1 + abs(hashint4(g + 5)) % 12, 1), (abs(hashint4(g % 977)) % 100000) / 100.0, \
             1 + abs(hashint4(g + 9)) % 20, 'c' || abs(hashint4(g + 11)) % 50000 FROM generate_series(1, {rows}) g",
            fact.name,
            rows = fact.rows
        ));
    }
    statements
}

fn rows_of(dimension: &str) -> u32 {
    DIMENSIONS
        .iter()
        .find(|(name, _)| *name == dimension)
        .map_or(1, |(_, rows)| *rows)
}

/// A small generator of numbers (SplitMix64), so that the queries are the same on every machine.
struct Choices(u64);

impl Choices {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    fn day(&mut self) -> u64 {
        self.below(1400)
    }
}

/// Eight kinds of questions, twelve of each.
fn queries() -> Vec<String> {
    let mut choices = Choices(SEED);
    let mut queries = Vec::new();
    for _ in 0..VARIANTS {
        for kind in 0..8 {
            queries.push(query(kind, &mut choices));
        }
    }
    queries
}

fn query(kind: u32, choices: &mut Choices) -> String {
    let fact = choices.one(&FACTS);
    let name = fact.name;
    let first = *choices.one(fact.refers_to);
    let others: Vec<&str> = fact
        .refers_to
        .iter()
        .copied()
        .filter(|other| *other != first)
        .collect();
    let second = *choices.one(&others);
    let kind_of = |choices: &mut Choices, of: &str| {
        choices.below(u64::from((rows_of(of) / 20).clamp(3, 200)))
    };
    let from = choices.day();
    let days = format!(
        "f.day >= date '2021-01-01' + {from} AND f.day < date '2021-01-01' + {}",
        from + 1 + choices.below(60)
    );
    match kind {
        // A dimension's slice over some weeks.
        0 => format!(
            "SELECT d.class, sum(f.amount), count(*) FROM {name} f JOIN {first} d ON d.{first}_id = f.{first}_id \
             WHERE d.kind = {} AND {days} GROUP BY d.class ORDER BY 2 DESC",
            kind_of(choices, first)
        ),
        // Two dimensions against each other.
        1 => format!(
            "SELECT a.label, b.kind, avg(f.amount) FROM {name} f JOIN {first} a ON a.{first}_id = f.{first}_id \
             JOIN {second} b ON b.{second}_id = f.{second}_id WHERE a.kind = {} AND b.class = {} AND f.state = 'C' \
             GROUP BY a.label, b.kind ORDER BY 3 DESC LIMIT 50",
            kind_of(choices, first),
            kind_of(choices, second) / 4
        ),
        // One row's history, the newest first.
        2 => format!(
            "SELECT f.* FROM {name} f WHERE f.{first}_id = {} ORDER BY f.day DESC LIMIT 20",
            1 + choices.below(u64::from(rows_of(first)))
        ),
        // Who has something of a kind.
        3 => format!(
            "SELECT d.{first}_id, d.label FROM {first} d WHERE d.since > date '2015-01-01' + {} AND EXISTS \
             (SELECT 1 FROM {name} f WHERE f.{first}_id = d.{first}_id AND f.quantity > {} AND {days})",
            2000 + choices.below(900),
            10 + choices.below(9)
        ),
        // A code that somebody looks for.
        4 => format!(
            "SELECT f.day, f.amount, d.label FROM {name} f JOIN {first} d ON d.{first}_id = f.{first}_id WHERE f.code = 'c{}'",
            choices.below(50_000)
        ),
        // Large amounts in a few states.
        5 => format!(
            "SELECT f.state, f.day, sum(f.quantity) FROM {name} f WHERE f.state IN ('B', 'D') AND f.amount > {} AND {days} \
             GROUP BY f.state, f.day ORDER BY f.day",
            900 + choices.below(90)
        ),
        // What one kind has beyond its own average.
        6 => format!(
            "SELECT d.label, f.amount FROM {name} f JOIN {first} d ON d.{first}_id = f.{first}_id WHERE d.kind = {} AND f.amount > \
             (SELECT 1.5 * avg(g.amount) FROM {name} g WHERE g.{first}_id = f.{first}_id) ORDER BY f.amount DESC LIMIT 100",
            kind_of(choices, first)
        ),
        // Two facts over a dimension that they share.
        _ => {
            let shared: Vec<&Fact> = FACTS
                .iter()
                .filter(|other| other.name != name && other.refers_to.contains(&first))
                .collect();
            let Some(other) = shared.first() else {
                return query(0, choices);
            };
            format!(
                "SELECT d.kind, count(DISTINCT f.{name}_id), count(DISTINCT o.{0}_id) FROM {first} d \
                 JOIN {name} f ON f.{first}_id = d.{first}_id JOIN {0} o ON o.{first}_id = d.{first}_id \
                 WHERE d.score > {1} AND d.kind = {2} AND {days} AND o.day > date '2021-01-01' + {3} GROUP BY d.kind",
                other.name,
                choices.below(990),
                kind_of(choices, first),
                1300 + choices.below(190)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_tables_and_queries_enough_and_always_the_same() {
        assert_eq!(FACTS.len() + DIMENSIONS.len(), 24);
        let queries = queries();
        assert_eq!(queries.len(), 96);
        let mut different = queries.clone();
        different.sort();
        different.dedup();
        assert!(different.len() >= 90, "{}", different.len());
        assert_eq!(queries, super::queries());
        for fact in FACTS {
            for name in fact.refers_to {
                assert!(rows_of(name) > 1, "{name}");
            }
        }
    }
}

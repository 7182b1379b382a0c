//! The service that is asked: 512 routes, all layers, and the admin router over a database of 2,000 relations.

use std::time::{Duration, Instant};

use pitcrew_stack::bench::{HttpServer, free_address};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Postgres, Progress, Result, Stack, TEMPLATE};

use super::client::Client;
use super::{fault, installed};

pub(super) const ROUTES: usize = 512;
/// With the index of its primary key each is two relations.
const TABLES: usize = 1_000;
/// Requests to each route, so that it has times to tell.
const VISITS: usize = 20;
const TOKEN: &str = "the-operator-of-this-suite";
/// A cycle has a minute for each part.
const CYCLE_WITHIN: Duration = Duration::from_secs(300);

pub(super) struct Service {
    pub(super) server: HttpServer,
}

impl Service {
    /// Starts it, lets every route be asked, and a cycle end: so there is advice that stands.
    pub(super) fn start(stack: &Stack, signals: &Signals) -> Result<Self> {
        let postgres = stack.postgres();
        let postgres =
            postgres.ok_or_else(|| Error::Extension("the stack has no Postgres".into()))?;
        Progress::Print.step("build 2,000 relations", || build(postgres))?;
        let (dir, mut command) = installed(stack.slot(), "admin-service")?;
        let address = free_address()?;
        command
            .args([&address, &ROUTES.to_string()])
            .env("PITCREW_DATABASE_URL", postgres.url("admin"))
            .env("PITCREW_TOKEN", TOKEN);
        let server = HttpServer::start(stack.slot(), "the service", command, &dir, &address)?;
        let service = Self { server };
        let mut client = service.client()?;
        for visit in 0..VISITS {
            signals.check()?;
            for route in 0..ROUTES {
                client.get(&format!("/route-{route}/{visit}"))?;
            }
        }
        Progress::Print.step("a cycle", || service.cycle(&mut client, signals))?;
        Ok(service)
    }

    /// A connection of an operator.
    pub(super) fn client(&self) -> Result<Client> {
        Client::connect(self.server.address(), TOKEN)
    }

    /// What a listener sends first.
    pub(super) fn listening(&self) -> String {
        super::client::head(
            "GET",
            "/performance/events",
            self.server.address(),
            TOKEN,
            0,
        )
    }

    fn cycle(&self, client: &mut Client, signals: &Signals) -> Result<()> {
        client.post("/performance/optimize", "{}")?;
        let begin = Instant::now();
        loop {
            let cycles = client.told("/performance/cycles?limit=1")?;
            if let Some(cycle) = cycles["cycles"].get(0) {
                let advice = cycle["advice"].as_array().map_or(0, Vec::len);
                Progress::Print.say(format!("{}; {advice} stand", cycle["summary"]));
                return match advice {
                    // Nothing to look up were nothing to pay.
                    0 => Err(fault("the cycle advises nothing")),
                    _ => Ok(()),
                };
            }
            if begin.elapsed() > CYCLE_WITHIN {
                return Err(fault("the cycle does not end"));
            }
            signals.wait(Some(Duration::from_millis(100)));
            signals.check()?;
        }
    }
}

/// 1,000 tables with a primary key each, one that an index would help and one that is full of dead rows; 2,000 statements.
fn build(postgres: &Postgres) -> Result<()> {
    postgres.create_database_from("admin", TEMPLATE)?;
    let tables = format!(
        "DO $$ BEGIN FOR i IN 1..{TABLES} LOOP \
         EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, n int, note text)', i); \
         EXECUTE format('INSERT INTO t%s SELECT g, g, repeat(''x'', 100) FROM generate_series(1, 100) g', i); END LOOP; END $$"
    );
    let given = [
        tables.as_str(),
        "CREATE TABLE orders AS SELECT n AS id, n % 1000 AS customer, repeat('x', 100) AS note FROM generate_series(1, 20000) AS n",
        "CREATE TABLE dead WITH (autovacuum_enabled = off) AS SELECT n AS id FROM generate_series(1, 10000) AS n",
        "DELETE FROM dead WHERE id % 2 = 0",
        "ANALYZE",
        // Only what is asked for at the top counts as a statement; here those are inside a block.
        "SET pg_stat_statements.track = 'all'",
        "DO $$ BEGIN FOR shape IN 0..1999 LOOP EXECUTE 'SELECT count(*)' \
         || (SELECT string_agg(CASE WHEN shape & (1 << b) <> 0 THEN ' + 1' ELSE ' - 1' END, '') FROM generate_series(0, 10) b) \
         || ' FROM t' || 1 + shape % 1000; END LOOP; END $$",
        "DO $$ BEGIN FOR again IN 1..50 LOOP PERFORM count(*) FROM orders WHERE customer = again; END LOOP; END $$",
    ];
    postgres.run("admin", &given)?;
    Ok(())
}

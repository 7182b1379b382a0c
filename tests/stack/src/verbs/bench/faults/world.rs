//! The server, its tables and roles, the jobs, and what strikes them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Postgres, PostgresOptions, Result, Server, Slot, sql};

use super::super::choices::Choices;

/// Tables of each role.
const TABLES: usize = 6;
/// The two that submit; neither is a superuser.
pub(super) const ROLES: [&str; 2] = ["alice", "bob"];
/// Kinds of faults, by weight.
const FAULTS: usize = 25;
const CANCELS_THAT_HIT: &str = "cancels that hit";
const RESTARTS: &str = "restarts";
const SERVERS_KILLED: &str = "servers killed";
/// A server that recovers, and the last jobs, take less.
const PATIENCE: Duration = Duration::from_secs(120);
const SETTINGS: [(&str, &str); 6] = [
    ("pitcrew.max_parallel_jobs", "4"),
    ("pitcrew.job_lock_timeout", "200ms"),
    ("pitcrew.job_lock_retries", "3"),
    ("pitcrew.job_lock_backoff", "20ms"),
    ("max_worker_processes", "16"),
    ("autovacuum", "off"),
];

pub(super) struct World {
    postgres: Postgres,
    /// Ids that the server answered, with what they were: each commit was confirmed.
    jobs: BTreeMap<i64, String>,
    next: usize,
    struck: BTreeMap<&'static str, usize>,
    lockers: Vec<JoinHandle<()>>,
}

impl World {
    pub(super) fn build(slot: &Arc<Slot>, server: &Server, views: usize) -> Result<Self> {
        let mut options = PostgresOptions::with_extension(server);
        options
            .settings
            .extend(SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let postgres = Postgres::start(slot, server, options)?;
        postgres.create_database("faults")?;
        let mut script = vec![
            "CREATE EXTENSION pg_pitcrew".to_owned(),
            // A refresh leaves a row only if it commits, with the role that its session was connected as.
            "CREATE TABLE runs (view int, role text); GRANT INSERT, SELECT ON runs TO PUBLIC"
                .to_owned(),
            "CREATE FUNCTION log_run(view int) RETURNS int LANGUAGE sql VOLATILE \
             AS 'INSERT INTO public.runs VALUES (view, session_user) RETURNING view'"
                .to_owned(),
        ];
        for role in ROLES {
            script.push(format!(
                "CREATE ROLE {role} LOGIN; GRANT CREATE ON SCHEMA public TO {role}; SELECT pitcrew.grant_access('{role}', 'operator')"
            ));
            for table in 0..TABLES {
                script.push(format!(
                    "SET ROLE {role}; CREATE TABLE {role}_{table} (id int, filler text); \
                     INSERT INTO {role}_{table} SELECT g, repeat('x', 200) FROM generate_series(1, 3000) g; \
                     CREATE INDEX {role}_{table}_base ON {role}_{table} (id); RESET ROLE"
                ));
            }
        }
        script.push(format!(
            "DO $$ BEGIN FOR n IN 0..{} LOOP EXECUTE format('SET ROLE %s', (ARRAY['alice', 'bob'])[1 + n % 2]); \
             EXECUTE format('CREATE MATERIALIZED VIEW view_%s AS SELECT public.log_run(%s) WITH NO DATA', n, n); \
             RESET ROLE; END LOOP; END $$",
            views * 2
        ));
        let script: Vec<&str> = script.iter().map(String::as_str).collect();
        postgres.run("faults", &script)?;
        Ok(Self {
            postgres,
            jobs: BTreeMap::new(),
            next: 0,
            struck: BTreeMap::new(),
            lockers: Vec::new(),
        })
    }

    pub(super) fn accepted(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn jobs(&self) -> &BTreeMap<i64, String> {
        &self.jobs
    }

    /// One query as the superuser.
    pub(super) fn rows(&self, query: &str) -> Result<Vec<Vec<Option<String>>>> {
        self.postgres.run("faults", &[query])
    }

    /// One number as the superuser.
    pub(super) fn count(&self, query: &str) -> Result<i64> {
        let rows = self.rows(query)?;
        let cell = rows.first().and_then(|row| row.first()?.as_deref());
        cell.and_then(|cell| cell.parse().ok())
            .ok_or_else(|| Error::Extension(format!("no number: {query}")))
    }

    /// The same, once the server answers again.
    fn patient<T>(&self, work: impl Fn() -> Result<T>) -> Result<T> {
        let begin = Instant::now();
        loop {
            match work() {
                Ok(value) => return Ok(value),
                Err(error) if begin.elapsed() > PATIENCE => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Submits jobs until `wanted` more were accepted. A refusal, or a server that is away, takes another job.
    pub(super) fn submit(&mut self, choices: &mut Choices, wanted: usize) -> Result<()> {
        let goal = self.jobs.len() + wanted;
        let begin = Instant::now();
        while self.jobs.len() < goal {
            let number = self.next;
            self.next += 1;
            let me = ROLES[number % 2];
            let table = format!("{me}_{}", choices.below(TABLES));
            let job = match choices.below(20) {
                0..=5 => {
                    format!("'refresh_matview', 'view_{number}', '{{\"concurrently\": false}}'")
                }
                6..=11 => format!(
                    "'create_index', '{table}', '{{\"columns\": [\"id\"], \"name\": \"made_{number}\"}}'"
                ),
                12..=13 => format!("'vacuum', '{table}', '{{\"full\": true}}'"),
                14..=15 => format!("'vacuum', '{table}', '{{\"analyze\": true}}'"),
                16..=17 => format!("'reindex', '{table}_base'"),
                18 => format!("'analyze', '{table}'"),
                // Of a table that is not theirs, past the function's own check.
                _ => format!(
                    "theirs {}_{}",
                    ROLES[(number + 1) % 2],
                    choices.below(TABLES)
                ),
            };
            let statement = match job.strip_prefix("theirs ") {
                Some(table) => format!(
                    "INSERT INTO pitcrew.jobs (kind, target) VALUES ('vacuum', '{table}') RETURNING id"
                ),
                None => format!("SELECT pitcrew.submit_job({job})"),
            };
            match sql::run(&self.postgres.socket_url(me, "faults"), &[&statement]) {
                Ok(rows) => {
                    let id = rows
                        .first()
                        .and_then(|row| row.first()?.as_deref()?.parse().ok());
                    self.jobs
                        .insert(id.unwrap_or_default(), format!("{me}: {job}"));
                }
                Err(error) if begin.elapsed() > PATIENCE => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        Ok(())
    }

    /// One fault.
    pub(super) fn strike(&mut self, choices: &mut Choices) -> Result<()> {
        let fault = choices.below(FAULTS);
        self.strike_with(fault, choices)
    }

    /// Faults that matter most and that chance left out: without them the counts of the verdict say little.
    pub(super) fn strike_what_is_missing(&mut self, choices: &mut Choices) -> Result<()> {
        for (what, fault) in [(CANCELS_THAT_HIT, 0), (RESTARTS, 23), (SERVERS_KILLED, 24)] {
            if !self.struck.contains_key(what) {
                self.strike_with(fault, choices)?;
            }
        }
        Ok(())
    }

    fn strike_with(&mut self, fault: usize, choices: &mut Choices) -> Result<()> {
        let what = match fault {
            0..=7 => {
                // Half of them want one that runs.
                let place = choices.below(2) * choices.below(50);
                let asked = self.rows(&format!(
                    "SELECT pitcrew.cancel_job((SELECT id FROM pitcrew.jobs WHERE state IN ('queued', 'waiting_for_lock', 'running') \
                     ORDER BY id OFFSET {place} LIMIT 1))"
                ));
                let is_hit = asked.is_ok_and(|rows| rows == [[Some("t".to_owned())]]);
                if is_hit {
                    CANCELS_THAT_HIT
                } else {
                    "cancels that found no job"
                }
            }
            8..=15 => {
                self.lock(choices);
                "lock conflicts"
            }
            16..=18 => {
                let _ = self.rows(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pitcrew job' LIMIT 1",
                );
                "workers ended"
            }
            19..=20 => {
                let _ = self.rows(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pitcrew coordinator'",
                );
                "coordinators ended"
            }
            21..=22 => {
                if !self.kill_worker() {
                    return Ok(());
                }
                "workers killed"
            }
            23 => {
                self.postgres.restart()?;
                RESTARTS
            }
            _ => {
                self.postgres.kill();
                self.postgres.start_again()?;
                SERVERS_KILLED
            }
        };
        *self.struck.entry(what).or_default() += 1;
        Ok(())
    }

    /// Holds a table or a snapshot for a moment, in a session of its own.
    fn lock(&mut self, choices: &mut Choices) {
        self.lockers.retain(|locker| !locker.is_finished());
        let table = format!("{}_{}", ROLES[choices.below(2)], choices.below(TABLES));
        let url = self.postgres.socket_url("postgres", "faults");
        let lock = format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        let milliseconds = 50 + choices.below(500);
        let hold = format!("SELECT pg_sleep({milliseconds} / 1000.0)");
        self.lockers.push(std::thread::spawn(move || {
            // It ends with the server, if that ends.
            let _ = sql::run(&url, &["BEGIN", &lock, &hold, "ROLLBACK"]);
        }));
    }

    fn kill_worker(&self) -> bool {
        let query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pitcrew job' LIMIT 1";
        let Ok(pid) = self.count(query) else {
            return false;
        };
        // SAFETY: kill has no memory effects; the pid is of a worker of this world's own server.
        unsafe { libc::kill(pid as i32, libc::SIGKILL) == 0 }
    }

    pub(super) fn unfinished(&self) -> Result<usize> {
        let query = "SELECT count(*) FROM pitcrew.jobs WHERE state IN ('queued', 'waiting_for_lock', 'running')";
        self.patient(|| self.count(query))
            .map(|count| count as usize)
    }

    pub(super) fn until_all_ended(&mut self, signals: &Signals) -> Result<()> {
        for locker in self.lockers.drain(..) {
            let _ = locker.join();
        }
        let mut last = (self.unfinished()?, Instant::now());
        while last.0 > 0 {
            signals.check()?;
            let now = self.unfinished()?;
            if now != last.0 {
                last = (now, Instant::now());
            }
            if last.1.elapsed() > PATIENCE {
                // The verdict counts them.
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// What struck, and how the jobs ended.
    pub(super) fn summary(&self) -> Result<String> {
        let ends = self.rows(
            "SELECT coalesce(string_agg(format('%s %s %s', n, state, sqlstate), ', ' ORDER BY n DESC), '') FROM \
             (SELECT count(*) AS n, state, sqlstate FROM pitcrew.jobs GROUP BY 2, 3) e",
        )?;
        let ends = ends.first().and_then(|row| row.first()?.clone());
        Ok(format!(
            "struck: {:?}; jobs: {}",
            self.struck,
            ends.unwrap_or_default()
        ))
    }
}

//! Private servers: born, killed, restarted, and gone.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pitcrew_stack::{Description, Place, Postgres, PostgresOptions, require, testing};

/// The process ids that work in `folder`.
fn working_in(folder: &Path) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap();
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
        })
        .collect()
}

/// Waits for something that happens outside of this process.
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < end, "not within 30 s: {what}");
        std::thread::yield_now();
    }
}

/// What was killed loses its program first and its working directory a moment later.
fn nobody_works_in(folder: &Path) {
    eventually("what was killed is gone", || working_in(folder).is_empty());
}

/// `pitcrew-stack up` as a process of its own, and its description.
fn up(checkout: &Path, arguments: &[&str]) -> (Child, PathBuf) {
    let stack = testing::stack().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_pitcrew-stack"))
        .args(["up", "--no-extension"])
        .args(arguments)
        .env("PITCREW_ROOT", checkout)
        .env(
            "PITCREW_PG_CONFIG",
            &stack.postgres.as_ref().unwrap().server.pg_config.program,
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let description = lines
        .find_map(|line| line.strip_prefix("PITCREW_STACK=").map(PathBuf::from))
        .unwrap();
    lines.find(|line| line.starts_with("Ctrl-C")).unwrap();
    (child, description)
}

/// A checkout of this test's own, so that its place is too; the place is removed at the end.
struct OwnPlace(PathBuf);

impl OwnPlace {
    fn new(name: &str) -> Self {
        let checkout =
            std::env::temp_dir().join(format!("pitcrew-checkout-{}-{name}", std::process::id()));
        std::fs::create_dir(&checkout).unwrap();
        Self(checkout)
    }

    fn place(&self) -> Place {
        Place::open(&self.0).unwrap()
    }
}

impl Drop for OwnPlace {
    fn drop(&mut self) {
        let place = self.place();
        place.sweep().unwrap();
        std::fs::remove_dir_all(place.path()).unwrap();
        std::fs::remove_dir(&self.0).unwrap();
    }
}

#[test]
fn a_database_of_the_tests_own_comes_from_the_template_and_goes() {
    require!(extension);
    let database = testing::database();
    let rows = database.run(&["SELECT extname FROM pg_extension WHERE extname = 'pg_pitcrew'"]);
    assert_eq!(rows, [[Some("pg_pitcrew".to_owned())]]);
    let (name, url) = (database.name.clone(), database.url.clone());
    pitcrew_stack::sql::run(&url, &["SELECT 1"]).unwrap();
    drop(database);
    let other = testing::database();
    let rows = other.run(&[&format!(
        "SELECT 1 FROM pg_database WHERE datname = '{name}'"
    )]);
    assert!(rows.is_empty());
}

#[test]
fn a_statement_that_fails_tells_the_servers_message_and_code() {
    require!(database);
    let database = testing::database();
    let error = pitcrew_stack::sql::run(&database.url, &["SELECT nothing_like_that"])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("42703") && error.contains("nothing_like_that"),
        "{error}"
    );
}

#[test]
fn the_loopback_port_asks_for_the_password() {
    require!(database);
    let postgres = testing::stack().unwrap().postgres.as_ref().unwrap();
    let without = format!("postgresql://postgres@127.0.0.1:{}/postgres", postgres.port);
    assert!(pitcrew_stack::sql::run(&without, &["SELECT 1"]).is_err());
    let wrong = format!(
        "postgresql://postgres:wrong@127.0.0.1:{}/postgres",
        postgres.port
    );
    assert!(
        pitcrew_stack::sql::run(&wrong, &["SELECT 1"])
            .unwrap_err()
            .to_string()
            .contains("28P01")
    );
}

#[test]
fn a_killed_postgres_comes_back_with_what_was_committed() {
    require!(database);
    let mut postgres = testing::postgres(PostgresOptions::default());
    postgres.create_database("shop").unwrap();
    postgres
        .run(
            "shop",
            &["CREATE TABLE t (a int)", "INSERT INTO t VALUES (7)"],
        )
        .unwrap();
    let first = postgres.pid().unwrap();
    postgres.kill();
    nobody_works_in(&postgres.data_dir());
    assert!(postgres.run("shop", &["SELECT a FROM t"]).is_err());
    postgres.start_again().unwrap();
    assert_ne!(postgres.pid().unwrap(), first);
    assert_eq!(
        postgres.run("shop", &["SELECT a FROM t"]).unwrap(),
        [[Some("7".to_owned())]]
    );
    postgres.reconfigure(&[("work_mem", "5MB")]).unwrap();
    assert_eq!(
        postgres.run("shop", &["SHOW work_mem"]).unwrap(),
        [[Some("5MB".to_owned())]]
    );
    let dir = postgres.data_dir();
    drop(postgres);
    assert!(!dir.exists());
    nobody_works_in(&dir);
}

#[test]
fn a_server_that_will_not_start_shows_its_last_lines() {
    require!(database);
    let options = PostgresOptions {
        settings: vec![("shared_buffers".into(), "lots".into())],
        ..PostgresOptions::default()
    };
    let error = Postgres::start(&testing::slot(), testing::server(), options)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("did not start") && error.contains("shared_buffers"),
        "{error}"
    );
}

#[test]
fn a_port_that_is_taken_is_named() {
    require!(database);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = PostgresOptions {
        port: Some(port),
        ..PostgresOptions::default()
    };
    let error = Postgres::start(&testing::slot(), testing::server(), options)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(&format!("port {port} on 127.0.0.1 is taken")),
        "{error}"
    );
}

#[test]
fn a_port_that_somebody_took_meanwhile_is_replaced() {
    require!(database);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port();
    let postgres = testing::postgres(PostgresOptions {
        preferred_port: Some(taken),
        ..PostgresOptions::default()
    });
    assert_ne!(postgres.port(), taken);
    pitcrew_stack::sql::run(&postgres.url("postgres"), &["SELECT 1"]).unwrap();
}

#[test]
fn many_servers_side_by_side_take_ports_of_their_own() {
    require!(database);
    let started: Vec<Postgres> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| testing::postgres(PostgresOptions::default())))
            .collect();
        starts
            .into_iter()
            .map(|start| start.join().unwrap())
            .collect()
    });
    let ports: std::collections::BTreeSet<u16> = started.iter().map(Postgres::port).collect();
    assert_eq!(ports.len(), 4);
    // Threads that started them have ended; the servers have not.
    for postgres in &started {
        postgres.run("postgres", &["SELECT 1"]).unwrap();
    }
}

#[test]
fn redis_is_killed_paused_and_started_again_on_its_port() {
    require!(redis);
    let mut redis = testing::redis();
    let (url, port) = (redis.url(), redis.port());
    redis.command(&["SET", "key", "value"]).unwrap();
    assert_eq!(redis.command(&["GET", "key"]).unwrap(), "value");
    redis.kill();
    assert!(redis.command(&["PING"]).is_err());
    redis.start_again().unwrap();
    assert_eq!((redis.url(), redis.port()), (url, port));
    assert_eq!(
        redis.command(&["GET", "key"]).unwrap(),
        "",
        "nothing is kept on disk"
    );
    redis.pause();
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", redis.pid().unwrap())).unwrap();
        stat.rsplit_once(')')
            .unwrap()
            .1
            .trim_start()
            .chars()
            .next()
            .unwrap()
    };
    eventually("stopped", || state() == 'T');
    redis.resume();
    assert_eq!(redis.command(&["PING"]).unwrap(), "PONG");
    let open = format!("127.0.0.1:{port}");
    let mut stranger = std::net::TcpStream::connect(open).unwrap();
    std::io::Write::write_all(&mut stranger, b"*1\r\n$8\r\nFLUSHALL\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(stranger).read_line(&mut line).unwrap();
    assert!(line.starts_with("-NOAUTH"), "{line}");
}

#[test]
fn three_redis_nodes_share_one_cluster() {
    require!(redis);
    let program = testing::stack().unwrap().redis_program.clone().unwrap();
    let cluster = pitcrew_stack::RedisCluster::start(&testing::slot(), &program).unwrap();
    // The slot of "foo" is 12182 (CRC16), which the third node has; the first says so.
    let moved = cluster.nodes()[0]
        .command(&["SET", "foo", "bar"])
        .unwrap_err()
        .to_string();
    let third = &cluster.nodes()[2];
    assert!(
        moved.contains(&format!("MOVED 12182 127.0.0.1:{}", third.port())),
        "{moved}"
    );
    third.command(&["SET", "foo", "bar"]).unwrap();
    assert_eq!(third.command(&["GET", "foo"]).unwrap(), "bar");
}

#[test]
fn two_stacks_of_one_checkout_live_side_by_side_and_ctrl_c_ends_one() {
    require!(database, redis);
    let own = OwnPlace::new("two");
    let (mut first, first_file) = up(&own.0, &[]);
    let (mut second, second_file) = up(&own.0, &[]);
    let (a, b) = (
        Description::read(&first_file).unwrap(),
        Description::read(&second_file).unwrap(),
    );
    let (a, b) = (a.postgres.unwrap(), b.postgres.unwrap());
    assert_ne!(a.port, b.port);
    assert_eq!(a.server.bin, b.server.bin, "they share the prepared tree");
    // SAFETY: the child is ours and not waited for.
    unsafe { libc::kill(first.id().try_into().unwrap(), libc::SIGINT) };
    assert!(first.wait().unwrap().success());
    assert!(!first_file.exists());
    nobody_works_in(first_file.parent().unwrap());
    let url = format!(
        "postgresql://postgres:{}@127.0.0.1:{}/postgres",
        b.password, b.port
    );
    pitcrew_stack::sql::run(&url, &["SELECT 1"]).unwrap();
    unsafe { libc::kill(second.id().try_into().unwrap(), libc::SIGTERM) };
    assert!(second.wait().unwrap().success());
    assert!(!second_file.exists());
}

#[test]
fn after_a_sigkill_nothing_runs_and_the_next_run_clears_what_is_left() {
    require!(database, redis);
    let own = OwnPlace::new("killed");
    let (mut child, file) = up(&own.0, &[]);
    let slot = file.parent().unwrap().to_path_buf();
    assert!(!working_in(&slot).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    // The kernel tells the servers (PR_SET_PDEATHSIG).
    eventually("the servers end", || working_in(&slot).is_empty());
    assert!(slot.exists(), "nobody was left to remove it");
    own.place().sweep().unwrap();
    assert!(!slot.exists());
}

#[test]
fn a_sweep_ends_servers_whose_process_is_gone_and_spares_live_slots() {
    require!(database);
    let own = OwnPlace::new("sweep");
    let place = own.place();
    let live = place.slot().unwrap();
    let dead = place.slot().unwrap();
    let dead_dir = dead.path().to_path_buf();
    // A server that nobody will end: the copied program, working in the slot, that ignores its parent's death.
    let sleeper = place.path().join("sleep");
    std::fs::copy("/bin/sleep", &sleeper).unwrap();
    let start = |dir: &Path| {
        Command::new(&sleeper)
            .arg("600")
            .current_dir(dir)
            .spawn()
            .unwrap()
    };
    let (mut in_dead, mut in_live) = (start(&dead_dir), start(live.path()));
    // As a SIGKILL would: the lock is released, nothing is cleaned.
    std::mem::drop(dead.abandon());
    // Another test's fork may hold a copy of the lock's descriptor until its exec.
    let mut ended = 0;
    eventually("the sweep", || {
        ended += place.sweep().unwrap();
        !dead_dir.exists()
    });
    assert_eq!(ended, 1);
    assert!(!in_dead.wait().unwrap().success());
    assert!(in_live.try_wait().unwrap().is_none());
    // The same program outside of any slot is somebody else's.
    let mut elsewhere = start(Path::new("/"));
    place.sweep().unwrap();
    assert!(elsewhere.try_wait().unwrap().is_none());
    for child in [&mut in_live, &mut elsewhere] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn the_place_of_a_checkout_that_is_gone_is_removed_unless_it_is_in_use() {
    let gone = OwnPlace::new("gone");
    let base = gone.place().path().to_path_buf();
    let used = gone.place().slot().unwrap();
    std::fs::remove_dir(&gone.0).unwrap();
    let other = OwnPlace::new("other");
    other.place().sweep().unwrap();
    assert!(base.exists(), "a stack lives there");
    drop(used);
    eventually("removed", || {
        other.place().sweep().unwrap();
        !base.exists()
    });
    // For the drop.
    std::fs::create_dir(&gone.0).unwrap();
}

#[test]
fn a_place_that_somebody_else_made_is_refused() {
    let own = OwnPlace::new("stolen");
    let path = own.place().path().to_path_buf();
    std::fs::remove_dir_all(&path).unwrap();
    std::os::unix::fs::symlink("/tmp", &path).unwrap();
    let error = Place::open(&own.0).unwrap_err().to_string();
    std::fs::remove_file(&path).unwrap();
    assert!(error.contains("is not a private folder"), "{error}");
}

#[test]
fn no_process_has_a_password_on_its_command_line() {
    require!(database, redis);
    let postgres = testing::postgres(PostgresOptions::default());
    let redis = testing::redis();
    postgres.run("postgres", &["SELECT 1"]).unwrap();
    let of_redis = redis.url();
    let (_, of_redis) = of_redis.split_once("redis://:").unwrap();
    let (of_redis, _) = of_redis.split_once('@').unwrap();
    let shared = testing::stack().unwrap().postgres.as_ref().unwrap();
    let mut looked_at = BTreeSet::<u32>::new();
    for process in std::fs::read_dir("/proc").unwrap() {
        let process = process.unwrap().path();
        let Ok(line) = std::fs::read(process.join("cmdline")) else {
            continue;
        };
        let line = String::from_utf8_lossy(&line).into_owned();
        for password in [postgres.password(), of_redis, &shared.password] {
            assert!(!line.contains(password), "{line}");
        }
        looked_at.extend(
            process
                .file_name()
                .and_then(|pid| pid.to_str()?.parse::<u32>().ok()),
        );
    }
    for server in [postgres.pid(), redis.pid()] {
        assert!(looked_at.contains(&server.unwrap()), "{looked_at:?}");
    }
}

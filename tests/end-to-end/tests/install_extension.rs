//! `install-extension` into a second, stock server: without preloading suggestions answer, with it jobs run.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use pitcrew_stack::{Place, Postgres, PostgresOptions, Progress, Server, require, testing};

/// A server that nobody installed anything into, and a `pg_config` for it.
struct Stock {
    root: PathBuf,
    server: Server,
    pg_config: PathBuf,
}

impl Stock {
    fn new(name: &str) -> Self {
        let stack = testing::stack().unwrap();
        let place = Place::open(&stack.checkout).unwrap();
        let original = testing::server().pg_config.clone();
        let name = format!("{name}-{}", std::process::id());
        let server =
            Server::prepare_apart(&place, original.clone(), &name, Progress::Quiet).unwrap();
        let root = server.seed.parent().unwrap().to_path_buf();
        // The copy has no headers, so it cannot answer for itself.
        let pg_config = root.join("pg_config");
        let text = format!(
            "#!/bin/sh\ncase $1 in\n--bindir) echo {} ;;\n--pkglibdir) echo {} ;;\n--sharedir) echo {} ;;\n*) exec {} \"$@\" ;;\nesac\n",
            server.bin.display(),
            server.pkglib.display(),
            server.share.display(),
            original.program.display(),
        );
        fs::write(&pg_config, text).unwrap();
        fs::set_permissions(&pg_config, fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            root,
            server,
            pg_config,
        }
    }

    fn install(&self, arguments: &[&str]) -> Output {
        let stack = testing::stack().unwrap();
        Command::new(&stack.program)
            .arg("install-extension")
            .arg("--pg-config")
            .arg(&self.pg_config)
            .args(arguments)
            .env("PITCREW_ROOT", &stack.checkout)
            // The stack has compiled it for this very version; naming another pg_config would build the bindings anew.
            .env("CARGO", "true")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn extension_files(share: &Path) -> Vec<String> {
    let entries = fs::read_dir(share.join("extension")).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("pg_pitcrew"))
        .collect()
}

#[test]
fn a_stock_server_gets_suggestions_without_preloading_and_jobs_with_it() {
    require!(statements);
    let stock = Stock::new("stock");

    let dry = stock.install(&["--dry-run"]);
    assert!(
        dry.status.success(),
        "{}",
        String::from_utf8_lossy(&dry.stderr)
    );
    assert!(String::from_utf8_lossy(&dry.stdout).contains("would write "));
    assert_eq!(extension_files(&stock.server.share), Vec::<String>::new());

    let done = stock.install(&[]);
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(
        said.contains("shared_preload_libraries = 'pg_stat_statements, pg_pitcrew'"),
        "{said}"
    );
    assert!(said.contains("restart"), "{said}");
    assert_eq!(extension_files(&stock.server.share).len(), 2);

    let mut postgres =
        Postgres::start(&testing::slot(), &stock.server, PostgresOptions::default()).unwrap();
    postgres.create_database("shop").unwrap();
    let looked = |postgres: &Postgres| {
        let done = stock.install(&["--dry-run", "--url", &postgres.url("shop")]);
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout).unwrap()
    };
    let said = looked(&postgres);
    assert!(said.contains("does not preload it"), "{said}");
    let run = |postgres: &Postgres, statement: &str| postgres.run("shop", &[statement]);
    postgres
        .run(
            "shop",
            &[
                "CREATE EXTENSION pg_pitcrew",
                "CREATE TABLE orders (id bigint PRIMARY KEY, customer int, note text)",
                "INSERT INTO orders SELECT i, i % 5000, repeat('x', 60) FROM generate_series(1, 100000) i",
                "ANALYZE orders",
            ],
        )
        .unwrap();
    let rows = run(
        &postgres,
        "SELECT table_name, columns[1], cost_after < cost_before FROM pitcrew.suggest_indexes(queries => ARRAY['SELECT note FROM orders WHERE customer = 42'])",
    )
    .unwrap();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert!(
        rows[0][0].as_deref().unwrap().ends_with("orders"),
        "{rows:?}"
    );
    assert_eq!(
        rows[0][1..],
        [Some("customer".to_owned()), Some("t".to_owned())]
    );
    run(&postgres, "SELECT * FROM pitcrew.table_stats").unwrap();
    let error = run(&postgres, "SELECT pitcrew.submit_job('analyze', 'orders')")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("shared_preload_libraries"),
        "the line that is missing is named: {error}"
    );

    postgres
        .reconfigure(&[("shared_preload_libraries", "pg_stat_statements, pg_pitcrew")])
        .unwrap();
    let said = looked(&postgres);
    assert!(said.contains("preloads pg_pitcrew already"), "{said}");
    let job = run(&postgres, "SELECT pitcrew.submit_job('analyze', 'orders')").unwrap()[0][0]
        .clone()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let rows = run(
            &postgres,
            &format!("SELECT state, error FROM pitcrew.jobs WHERE id = {job}"),
        )
        .unwrap();
        match rows[0][0].as_deref() {
            Some("done") => break,
            Some("queued" | "running") => {
                assert!(Instant::now() < end, "the job did not end: {rows:?}")
            }
            _ => panic!("{rows:?}"),
        }
    }
}

#[test]
fn a_server_without_headers_is_refused_with_the_package_to_install() {
    require!(extension);
    let stock = Stock::new("no-headers");
    let text = fs::read_to_string(&stock.pg_config).unwrap();
    fs::write(
        &stock.pg_config,
        text.replace(
            "case $1 in\n",
            "case $1 in\n--includedir-server) echo /nowhere ;;\n",
        ),
    )
    .unwrap();
    let refused = stock.install(&[]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("postgresql-server-dev-"), "{said}");
}

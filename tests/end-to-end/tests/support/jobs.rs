//! What the tests of jobs share.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "as in the module above"
)]

use pitcrew_stack::Postgres;

use super::Session;

/// Indexes that nobody can use.
pub const INVALID_INDEXES: &str = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
/// Workers of this database.
pub const WORKERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'pitcrew job'";

/// Makes VACUUM in a database take minutes, so that something can happen in the middle.
pub fn slow_vacuum(admin: &Session, database: &str) {
    admin.run(&format!(
        "ALTER DATABASE {database} SET vacuum_cost_delay = '100ms'; ALTER DATABASE {database} SET vacuum_cost_limit = 1"
    ));
}

/// A table of some hundred pages with something to vacuum.
pub fn table(session: &Session, name: &str) {
    session.run(&format!(
        "CREATE TABLE {name} (id int, filler text) WITH (autovacuum_enabled = off); \
         INSERT INTO {name} SELECT g, repeat('x', 500) FROM generate_series(1, 5000) g; DELETE FROM {name} WHERE id % 3 = 0"
    ));
}

/// Submits a VACUUM of a new table `orders` that takes minutes, and waits until it runs; answers its id.
pub fn running_vacuum(session: &Session, database: &str) -> String {
    slow_vacuum(session, database);
    table(session, "orders");
    let job = session.submit("'vacuum', 'orders'");
    session.until(WORKERS, "1");
    job
}

/// A session beside the database `shop`, once nobody is connected to that any more.
pub fn beside_shop(postgres: &Postgres) -> Session {
    let admin = Session::open(&postgres.url("postgres"));
    admin.until("SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' AND backend_type = 'client backend'", "0");
    admin
}

/// Starts a server that was stopped or killed as a standby, and connects to `shop`.
pub fn as_standby(postgres: &mut Postgres) -> Session {
    std::fs::write(postgres.data_dir().join("standby.signal"), "").unwrap();
    postgres.start_again().unwrap();
    Session::open(&postgres.url("shop"))
}

/// Submits a job in a transaction that ends after `then`: so what `then` does is not known when the job is checked.
pub fn submitted_before(session: &Session, job: &str, then: impl FnOnce()) -> String {
    session.run("BEGIN");
    let id = session.submit(job);
    then();
    session.run("COMMIT");
    id
}

/// A session that hears what is told to one channel.
pub struct Listener {
    runtime: tokio::runtime::Runtime,
    client: tokio_postgres::Client,
    heard: std::sync::mpsc::Receiver<String>,
}

impl Listener {
    /// Connects and listens.
    pub fn open(url: &str, channel: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (tell, heard) = std::sync::mpsc::channel();
        let client = runtime.block_on(async {
            let (client, mut connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
                .await
                .unwrap();
            tokio::spawn(async move {
                while let Some(Ok(message)) =
                    std::future::poll_fn(|context| connection.poll_message(context)).await
                {
                    if let tokio_postgres::AsyncMessage::Notification(told) = message {
                        let _ = tell.send(told.payload().to_owned());
                    }
                }
            });
            client
                .batch_execute(&format!("LISTEN {channel}"))
                .await
                .unwrap();
            client
        });
        Self {
            runtime,
            client,
            heard,
        }
    }

    /// All that was told up to `last`.
    pub fn until(&self, last: &str) -> Vec<String> {
        let mut all = Vec::new();
        let begin = std::time::Instant::now();
        while all.last().map(String::as_str) != Some(last) {
            assert!(begin.elapsed().as_secs() < 90, "heard only {all:?}");
            // Each statement lets the connection read what has come.
            self.runtime
                .block_on(self.client.simple_query("SELECT 1"))
                .unwrap();
            all.extend(self.heard.try_iter());
        }
        all
    }
}

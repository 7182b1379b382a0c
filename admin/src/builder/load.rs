//! What load tests may do.

use pitcrew_load::Ceilings;

use super::AdminBuilder;

impl AdminBuilder {
    /// This app's own address, such as `http://127.0.0.1:3000`: where `POST /load-test` goes unless a plan says another target. Its host is
    /// answered as if [allowed](Self::allow_host). It is never taken from a request's `Host`.
    pub fn self_address(mut self, address: impl Into<String>) -> Self {
        self.self_address = Some(address.into());
        self
    }

    /// Another address that load tests may go to, such as `http://10.0.0.7:3000`. Resolved once, when the router is built. May be called
    /// again. Default: none but this app's own.
    pub fn load_target(mut self, address: impl Into<String>) -> Self {
        self.load_targets.push(address.into());
        self
    }

    /// What a load test from the router may ask for at most: rate, connections, seconds, of each scenario and of all together, bytes of a
    /// body, memory. What a plan does not say is lowered to them. Default: what the tester itself allows.
    ///
    /// ```
    /// use pitcrew_admin::{Admin, load::Ceilings};
    ///
    /// let builder = Admin::builder().load_ceilings(Ceilings::default().rate_per_s(500.0).connections(32).seconds(60.0));
    /// ```
    pub fn load_ceilings(mut self, ceilings: Ceilings) -> Self {
        self.load_ceilings = ceilings;
        self
    }

    /// The database that load tests may send statements to, and the role they do it in: a URL or a libpq-style string, resolved once.
    /// Default: none, and plans with statements are refused.
    ///
    /// Give it a role of its own that may only read. Before each run the router asks the database whether the role can write
    /// anything, and refuses the run with the reason where it can. Sessions begin with `default_transaction_read_only = on` beside
    /// that. What every role may do (temporary tables, large objects of its own, advisory locks, `NOTIFY`, slow statements) is not
    /// kept from a plan.
    pub fn load_database(mut self, url: impl Into<String>) -> Self {
        self.load_database = Some(url.into());
        self
    }

    /// Whether the role of [`load_database`](Self::load_database) may write, and plans may say `allow_writes`. Default: neither.
    pub fn load_database_writes(mut self, allow: bool) -> Self {
        self.load_database_writes = allow;
        self
    }
}

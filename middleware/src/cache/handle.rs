//! [`CacheHandle`]: what an app does with its cache beside serving from it.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    entry::Entry,
    explain::Explanation,
    figures::stats::CacheStats,
    invalidation::{Kind, Name, Purge, PurgeError, PurgeReport, PurgeState},
    shared::Shared,
};

/// Purges, and tells figures. Cheap to clone.
#[derive(Clone)]
pub struct CacheHandle {
    pub(super) shared: Arc<Shared>,
}

impl CacheHandle {
    /// Figures since the layer was built.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.shared.stats()
    }

    /// What the cache in this process would do with a request, and why; without calling the handler or Redis, and without
    /// counting. The same closures run that decide regions, keys and identities. The body is not looked at; see
    /// [`Self::explain_with_body`].
    #[must_use]
    pub fn explain<B>(&self, request: &http::Request<B>) -> Explanation {
        self.explained(request, None)
    }

    /// [`Self::explain`] for a request whose content, `body`, is part of its key
    /// ([`Region::body_in_key`](super::Region::body_in_key)).
    #[must_use]
    pub fn explain_with_body<B>(&self, request: &http::Request<B>, body: &[u8]) -> Explanation {
        self.explained(request, Some(body))
    }

    fn explained<B>(&self, request: &http::Request<B>, body: Option<&[u8]>) -> Explanation {
        let mut copy = http::Request::new(());
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.headers_mut() = request.headers().clone();
        *copy.extensions_mut() = request.extensions().clone();
        self.shared.explain(&copy.into_parts().0, body)
    }

    /// Removes stored answers, and answers that are being made by requests that began before this call. O(1), whatever
    /// is stored.
    ///
    /// When this returns, this instance serves nothing older ([`PurgeState::Done`] for `local`). For L2 the report says
    /// whether Redis has confirmed it: [`PurgeState::Pending`] means that it did not within the store's timeout; then
    /// this instance reads nothing from L2 until a background task has seen to it.
    ///
    /// Once the purge is `Done`, every other instance that hears Redis serves nothing older a network round trip later,
    /// neither from Redis nor from its own process. One that does not hear it serves what it holds for at most
    /// `RedisStore::serve_while_away`.
    ///
    /// # Errors
    ///
    /// [`PurgeError`] where it names nothing that could be stored, such as a relative path or a region that there is not.
    pub async fn purge(&self, purge: Purge) -> Result<PurgeReport, PurgeError> {
        self.purge_as(Kind::Hard, purge).await
    }

    /// Makes stored answers stale: each is still given while one fetch in the background replaces it, by its validators
    /// where it has any. An answer that must not be given stale (`must-revalidate`,
    /// `proxy-revalidate`, `no-cache`) is validated before it is given, and so is one that is found in L2. Else as
    /// [`purge`](Self::purge).
    ///
    /// # Errors
    ///
    /// As [`purge`](Self::purge).
    pub async fn purge_softly(&self, purge: Purge) -> Result<PurgeReport, PurgeError> {
        self.purge_as(Kind::Soft, purge).await
    }

    /// Whether a purge names what could be stored; purges nothing.
    ///
    /// # Errors
    ///
    /// As [`purge`](Self::purge).
    pub fn check_purge(&self, purge: &Purge) -> Result<(), PurgeError> {
        self.shared.targets(purge).map(|_| ())
    }

    /// How many of the answers that this process holds a purge names; purges nothing, and looks at each of them. An answer that
    /// an earlier purge has made old is counted until it makes room; what only Redis holds is not.
    ///
    /// # Errors
    ///
    /// As [`purge`](Self::purge).
    pub fn preview_purge(&self, purge: &Purge) -> Result<u64, PurgeError> {
        let targets = self.shared.targets(purge)?;
        let is_named = |entry: &Entry| {
            let mut targets = targets.iter();
            targets.any(|target| target.names(&entry.slots, &entry.target))
        };
        Ok(self.shared.store.count(is_named))
    }

    async fn purge_as(&self, kind: Kind, purge: Purge) -> Result<PurgeReport, PurgeError> {
        let targets = self.shared.targets(&purge)?.into_iter();
        let names: Vec<_> = targets.map(|target| Name { kind, target }).collect();
        self.shared.counters.purge(kind == Kind::Soft, purge.kind());
        let commands = self.shared.purge(&names);
        #[cfg(feature = "redis")]
        if let Some(l2) = &self.shared.l2
            && let Some(command) = commands.into_iter().next()
        {
            return Ok(PurgeReport {
                local: PurgeState::Done,
                l2: l2.purge(command).await,
            });
        }
        #[cfg(not(feature = "redis"))]
        drop(commands);
        Ok(PurgeReport {
            local: PurgeState::Done,
            l2: PurgeState::Off,
        })
    }

    /// Gives back a share, 0 to 1, of the bytes that this process holds, what is least likely to be asked for first, and
    /// answers how many that were. Redis keeps what it has; the bound stays. For
    /// `MemoryHandle::register_shrink`, or by hand when memory runs short.
    pub fn shrink(&self, share: f64) -> u64 {
        self.shared.store.shrink(share)
    }

    /// Whether L2 answers: `None` without one. Redis is asked at most once in 2 seconds, within 1 second; meant for health
    /// checks, which would otherwise learn that it is away only from requests.
    pub async fn probe_l2(&self) -> Option<bool> {
        #[cfg(feature = "redis")]
        if let Some(l2) = &self.shared.l2 {
            return Some(l2.probe().await);
        }
        None
    }

    /// The rows of a query: from this process's cache, from another caller who is fetching the same, or by `fetch`, whose rows
    /// are then kept for the region's TTL.
    ///
    /// The statement is read (feature `query`, crate `sqlparser`): texts that differ in space, comments and case are one,
    /// `parameters` are part of the key, and each table that it reads is a tag `table:schema.name`, to be purged by
    /// [`Purge::Tag`] when the table changes. A name without a schema is one of [`Region::search_path`](super::Region::search_path). Nothing is cached of a
    /// statement that writes, locks rows, or calls a built-in function whose value is another one each time or session
    /// (`now()`, `random()`, `current_user`); the outcome says why. A function of your own that is volatile, a view (its
    /// tables stand elsewhere) and row-level security (rows differ by role) are **not** seen: give a view's tables by
    /// [`Self::query_tagged`], and keep the others out.
    ///
    /// `fetch` runs for whoever leads; its error is that caller's alone. Rows are kept as CBOR, in which `Some(None)` cannot be told from `None`. For a region that there is not
    /// it runs each time.
    #[cfg(feature = "query")]
    pub async fn query<T, P, E, F>(
        &self,
        region: &str,
        sql: &str,
        parameters: &P,
        fetch: F,
    ) -> (Result<T, E>, super::QueryOutcome)
    where
        T: serde::Serialize + serde::de::DeserializeOwned,
        P: serde::Serialize + ?Sized,
        F: AsyncFnOnce() -> Result<T, E>,
    {
        self.query_tagged(region, sql, parameters, &[], fetch).await
    }

    /// [`Self::query`] with tags besides those of its tables.
    #[cfg(feature = "query")]
    pub async fn query_tagged<T, P, E, F>(
        &self,
        region: &str,
        sql: &str,
        parameters: &P,
        tags: &[&str],
        fetch: F,
    ) -> (Result<T, E>, super::QueryOutcome)
    where
        T: serde::Serialize + serde::de::DeserializeOwned,
        P: serde::Serialize + ?Sized,
        F: AsyncFnOnce() -> Result<T, E>,
    {
        let Some(region) = self.shared.region_named(region) else {
            let refusal = super::Refusal::Region(region.to_owned());
            super::query::refused(&self.shared, self.shared.default_region());
            return (fetch().await, super::QueryOutcome::Refused(refusal));
        };
        let call = super::query::Call {
            shared: &self.shared,
            region,
            sql,
            parameters: encoded(parameters),
            more_tags: tags,
        };
        call.run(fetch).await
    }

    /// Finishes background work: waits for queued writes and pending purges to reach Redis, `deadline` at most, then
    /// stops. Requests are served on, without L2.
    pub async fn shutdown(&self, deadline: Duration) {
        #[cfg(feature = "redis")]
        if let Some(l2) = &self.shared.l2 {
            l2.shutdown(deadline).await;
        }
        #[cfg(not(feature = "redis"))]
        let _ = deadline;
    }
}

impl fmt::Debug for CacheHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheHandle").finish_non_exhaustive()
    }
}

/// Parameters as they stand in a key: in CBOR, where values of different kinds and every float differ. `None` where they
/// cannot be written.
#[cfg(feature = "query")]
fn encoded(parameters: &(impl serde::Serialize + ?Sized)) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    ciborium::into_writer(parameters, &mut bytes).ok()?;
    Some(bytes)
}

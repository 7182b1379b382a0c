//! The key figures, each with its name, its unit and what it is.

/// One key figure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metric {
    /// With its unit at the end.
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) says: &'static str,
    /// Where to look further, under the prefix.
    pub(crate) link: &'static str,
}

/// The key figures at one moment, in the order of [`METRICS`]; NaN where one is not known.
pub(crate) type Sample = [f32; METRICS.len()];

macro_rules! metrics {
    ($($index:ident $name:literal $unit:literal $link:literal $says:literal)*) => {
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "they are places in a table")]
        #[derive(Clone, Copy)]
        enum Place { $($index),* }
        $(pub(crate) const $index: usize = Place::$index as usize;)*
        /// All of them.
        pub(crate) const METRICS: [Metric; [$(Place::$index),*].len()] =
            [$(Metric { name: $name, unit: $unit, says: $says, link: $link }),*];
    };
}

metrics! {
    REQUESTS "requests_per_s" "requests/s" "/response-times" "Requests that ended in the last second."
    IN_FLIGHT "requests_in_flight" "requests" "/response-times" "Requests whose body has not ended."
    MEAN "response_mean_ms" "ms" "/response-times?window=1m" "Mean time to the end of the body, over a minute."
    P95 "response_p95_ms" "ms" "/response-times?window=1m" "95th percentile of it."
    P99 "response_p99_ms" "ms" "/response-times?window=1m" "99th percentile of it."
    ERRORS "response_errors_percent" "%" "/response-times?window=1m" "Answers with a 5xx status, or none, over a minute."
    SLO "slo_urgency" "" "/slos" "The worst objective: 1 ok, 3 its budget will not last, 4 it is gone, 5 it burns fast."
    HITS "cache_hits_percent" "%" "/cache/stats" "Hits among the look-ups of the last minute."
    CACHE_BYTES "cache_bytes" "bytes" "/cache/stats" "Bytes in the first level of the cache."
    L2_DOWN "cache_l2_down" "" "/cache/stats" "1 while the second level of the cache does not answer."
    RSS "memory_rss_mib" "MiB" "/memory/usage" "Resident set of this process."
    CPU "cpu_percent" "%" "/memory/usage" "CPU time of this process, of one core."
    LEAK "memory_leaking" "" "/memory/leak" "1 while the verdict is that memory leaks."
    POOL_WAITED "pool_waited_percent" "%" "/database/pools" "Check-outs of the last minute that waited, over all pools."
    POOL_USED "pool_used_percent" "%" "/database/pools" "Connections in use of those that may be, in the fullest pool."
    DB_DOWN "database_down" "" "/database/analysis" "1 while the database does not answer."
    DB_CONNECTIONS "database_connections_percent" "%" "/database/analysis" "Connections of those that the server takes."
    DB_MEAN "database_mean_ms" "ms" "/database/queries" "Mean execution time of statements since the statistics were reset."
    WRAPAROUND "database_wraparound_percent" "%" "/database/analysis" "Age of the oldest transaction id of those that there are."
    REPLICATION "database_replication_lag_s" "s" "/database/analysis" "How far the slowest standby is behind."
    FAILED_JOBS "database_failed_jobs" "jobs" "/database/jobs" "Maintenance jobs that failed in the last hour."
    LOGINS "admin_failed_logins_per_min" "logins/min" "/audit" "Wrong tokens in requests and logins of the last minute."
    OWN_COST "admin_sample_us" "us" "/config" "What taking these figures cost, the last time."
}

/// The place of a figure.
pub(crate) fn place(name: &str) -> Option<usize> {
    METRICS.iter().position(|metric| metric.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_where_its_name_says() {
        assert_eq!(place("requests_per_s"), Some(REQUESTS));
        assert_eq!(place("admin_sample_us"), Some(OWN_COST));
        assert_eq!(OWN_COST + 1, METRICS.len());
        let mut names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
    }
}

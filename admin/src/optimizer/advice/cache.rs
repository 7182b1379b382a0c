//! The cache: its hit ratio, and its second level.

use super::{Advice, Found, Severity};
use crate::Inner;
use crate::observe::Seen;
use crate::targets::ENOUGH_LOOK_UPS;

pub(super) fn advice(inner: &Inner, seen: &Seen) -> Found {
    let Some(stats) = &seen.cache else {
        return Found::Nothing("no cache handle".to_owned());
    };
    let mut advice = Vec::new();
    let looked_up = stats.hits + stats.misses;
    let percent = stats.hit_ratio * 100.0;
    if looked_up >= ENOUGH_LOOK_UPS && percent < inner.targets.cache_hit_percent {
        advice.push(Advice {
            id: "cache-hit-ratio".to_owned(),
            part: "cache",
            severity: Severity::Warn,
            title: "few answers come from the cache".to_owned(),
            detail: format!(
                "{percent:.1} % of {looked_up} look-ups were hits, {:.0} % are wanted; {} entries were evicted from {} MiB",
                inner.targets.cache_hit_percent,
                stats.l1.evictions,
                stats.l1.capacity_bytes >> 20
            ),
            action: None,
            estimated_bytes: None,
        });
    }
    if let Some(l2) = stats.l2.as_ref().filter(|l2| l2.state != "up") {
        advice.push(Advice {
            id: "cache-l2-down".to_owned(),
            part: "cache",
            severity: Severity::Warn,
            title: "Redis is away".to_owned(),
            detail: format!(
                "{} errors so far; the app serves from its own memory meanwhile",
                l2.errors
            ),
            action: None,
            estimated_bytes: None,
        });
    }
    Found::Advice(
        format!("{percent:.1} % hits of {looked_up} look-ups"),
        advice,
    )
}

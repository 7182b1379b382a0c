//! Redis behind the cache.

use pitcrew_stack::bench::{Figure, ROUNDS, Reading, interval, rounds};
use pitcrew_stack::{Error, Result, Stack};

use super::super::peers::Peers;
use super::skipped;

/// Reads of a reading.
const READS: &str = "100000";

/// Answers that lie in this process and in Redis while tags are purged.
const KEYS: &str = "1000000";

pub(super) fn figures(peers: &Peers<'_>, stack: &Stack) -> Result<Vec<Figure>> {
    let Some(redis) = stack.redis() else {
        skipped("l2_get_vs_raw_c64, purge_tag_us", "the stack has no Redis");
        return Ok(Vec::new());
    };
    let url = &redis.url();
    let gets = |what: &'static str| -> Reading<'_, Error> {
        Box::new(move || peers.number(&[what, url, READS]))
    };
    let read = rounds(5, &mut [gets("l2-gets"), gets("l2-gets"), gets("raw-gets")])?;
    let info = redis.command(&["INFO", "server"])?;
    let version = info
        .lines()
        .find_map(|line| line.trim().strip_prefix("redis_version:"))
        .unwrap_or("unknown");
    let purges = peers.read(&["purges", url, KEYS, &ROUNDS.to_string()])?;
    let round_trips = peers.read(&["round-trips", url, &ROUNDS.to_string()])?;
    redis.command(&["FLUSHALL"])?;
    Ok(vec![
        Figure::ratio("l2_get_vs_raw_c64", &read[0], &read[1], &read[2])
            .against("redis (one multiplexed connection)", peers.version("redis")),
        Figure::own("l2_get_per_s", "1/s", interval(&read[0])).against("Redis", version),
        Figure::own("l2_raw_get_per_s", "1/s", interval(&read[2])).against("Redis", version),
        Figure::own("purge_tag_us", "us", interval(&purges)).against("Redis", version),
        Figure::own("redis_round_trip_us", "us", interval(&round_trips)).against("Redis", version),
    ])
}

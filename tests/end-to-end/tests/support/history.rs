//! What the tests of history share.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "as in the module above"
)]

use super::Session;

/// Has a tick taken, with all that this session did so far counted in it; answers its id.
pub fn sample(session: &Session) -> i64 {
    session.run("SELECT pg_stat_force_next_flush()");
    session
        .text("SELECT pitcrew.history_sample()")
        .parse()
        .unwrap()
}

/// Why a tick does not continue the one before.
pub fn gaps(session: &Session, tick: i64) -> String {
    session.text(&format!(
        "SELECT array_to_string(gaps, ', ') FROM pitcrew.history_ticks WHERE id = {tick}"
    ))
}

/// The id of the statement that is written like this, constants as `$1`.
pub fn queryid(session: &Session, text: &str) -> String {
    session.text(&format!(
        "SELECT key FROM pitcrew.history_objects WHERE kind = 's' AND label = $q${text}$q$"
    ))
}

/// Calls of a statement in one tick.
pub fn calls(session: &Session, queryid: &str, tick: i64) -> i64 {
    let query = format!(
        "SELECT r.calls FROM pitcrew.query_trend({queryid}, '-infinity') r \
         JOIN pitcrew.history_ticks t ON t.at = r.at WHERE t.id = {tick}"
    );
    session.text(&query).parse().unwrap()
}

/// How many numbers below 0 are kept; -1 stands for a size that could not be taken.
pub const NEGATIVE: &str = "SELECT count(*) FROM pitcrew.history_samples s, unnest(s.numbers) WITH ORDINALITY n (number, place) \
     WHERE n.number < 0 AND NOT (s.kind = 'r' AND n.place > 11 * cardinality(s.objects))";

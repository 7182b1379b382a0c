//! What a run saw of its connections, and what only some protocols tell.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// So many SQLSTATEs and so many close codes are told apart; what comes after them is counted together.
const MAX_KINDS: usize = 64;

/// Connections and the codes of their protocol. Maps hold at most 64 keys each.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Details {
    /// Connections that were made. More than the plan's: some were made anew.
    pub connected: u64,
    /// Of these, that were lost: by the target's doing, or given up after a timeout.
    pub dropped: u64,
    /// For how long those that have ended were there, added up, in seconds.
    pub connected_s: f64,
    /// Connections that could not be made.
    pub refused: u64,
    /// WebSocket: connections that the target closed, by code (RFC 6455, 7.4); 1006 where it closed without one.
    pub close_codes: BTreeMap<u16, u64>,
    /// Closed connections for whose code there was no room.
    pub other_close_codes: u64,
    /// PostgreSQL: errors by SQLSTATE, also of refused connections.
    pub sql_states: BTreeMap<String, u64>,
    /// Errors with an SQLSTATE for which there was no room.
    pub other_sql_states: u64,
}

impl Details {
    /// A connection has ended; `is_lost` when nobody here wanted that.
    pub(crate) fn ended(&mut self, after: Duration, is_lost: bool) {
        self.connected_s += after.as_secs_f64();
        self.dropped += u64::from(is_lost);
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn sql_state(&mut self, code: &str) {
        match self.sql_states.get_mut(code) {
            Some(count) => *count += 1,
            None => add(
                &mut self.sql_states,
                code.to_owned(),
                1,
                &mut self.other_sql_states,
            ),
        }
    }

    #[cfg(feature = "websocket")]
    pub(crate) fn closed(&mut self, code: u16) {
        add(&mut self.close_codes, code, 1, &mut self.other_close_codes);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.connected += other.connected;
        self.dropped += other.dropped;
        self.connected_s += other.connected_s;
        self.refused += other.refused;
        self.other_close_codes += other.other_close_codes;
        for (code, count) in &other.close_codes {
            add(
                &mut self.close_codes,
                *code,
                *count,
                &mut self.other_close_codes,
            );
        }
        self.other_sql_states += other.other_sql_states;
        for (code, count) in &other.sql_states {
            add(
                &mut self.sql_states,
                code.clone(),
                *count,
                &mut self.other_sql_states,
            );
        }
    }

    /// The greatest of its counts.
    #[cfg(feature = "reports")]
    pub(crate) fn most(&self) -> u64 {
        let counts = [
            self.connected,
            self.dropped,
            self.refused,
            self.other_close_codes,
            self.other_sql_states,
        ];
        let codes = self.close_codes.values().chain(self.sql_states.values());
        codes.copied().chain(counts).max().unwrap_or(0)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn add<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K, count: u64, others: &mut u64) {
    if counts.len() >= MAX_KINDS && !counts.contains_key(&key) {
        *others += count;
    } else {
        *counts.entry(key).or_default() += count;
    }
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use super::*;

    #[test]
    fn codes_are_bounded_and_none_is_lost() {
        let mut details = Details::default();
        for number in 0..100 {
            details.sql_state(&format!("X{number:04}"));
            details.sql_state("X0000");
        }
        assert_eq!(details.sql_states.len(), MAX_KINDS);
        assert_eq!(details.sql_states["X0000"], 101);
        assert_eq!(details.other_sql_states, 36);
        let mut whole = Details::default();
        whole.sql_state("Y0000");
        whole.merge(&details);
        let counted: u64 = whole.sql_states.values().sum();
        assert_eq!(whole.sql_states.len(), MAX_KINDS);
        assert_eq!(counted + whole.other_sql_states, 201);
    }
}

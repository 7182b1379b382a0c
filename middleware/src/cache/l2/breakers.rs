//! Which circuit breaker a key belongs to: all of one server to one; in a cluster a part of the slots has its own, so
//! that a master that is away keeps requests from its own entries only.

use super::breaker::Breaker;

/// Slots of a cluster (Redis Cluster specification).
const SLOTS: usize = 16_384;
/// Breakers of a cluster. Masters have ranges of slots, so most breakers stand for one master, though not the other way
/// round: which slots are whose is not known here, and moves.
const GROUPS: usize = 64;

pub(super) struct Breakers(Box<[Breaker]>);

impl Breakers {
    pub(super) fn new(is_cluster: bool) -> Self {
        let count = if is_cluster { GROUPS } else { 1 };
        Self((0..count).map(|_| Breaker::new()).collect())
    }

    pub(super) fn of(&self, redis_key: &str) -> &Breaker {
        if let [only] = &*self.0 {
            return only;
        }
        &self.0[slot(redis_key) * GROUPS / SLOTS]
    }
}

/// The slot of a key, by its hash tag where it has one (Redis Cluster specification, "Hash tags").
fn slot(redis_key: &str) -> usize {
    let tag = redis_key
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'));
    let hashed = match tag {
        Some((tag, _)) if !tag.is_empty() => tag,
        _ => redis_key,
    };
    usize::from(crc16(hashed.as_bytes())) % SLOTS
}

/// CRC-16/XMODEM (Redis Cluster specification, appendix A).
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc: u16, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 {
                shifted
            } else {
                shifted ^ 0x1021
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot("foo"), 12_182);
        assert_eq!(slot("{user1000}.following"), slot("user1000"));
        assert_eq!(
            slot("foo{}{bar}"),
            usize::from(crc16(b"foo{}{bar}")) % SLOTS
        );
        assert_eq!(slot("foo{{bar}}zap"), slot("{bar"));
    }

    #[test]
    fn an_open_circuit_of_a_cluster_is_that_of_its_slots() {
        for (is_cluster, others_are_open) in [(true, false), (false, true)] {
            let breakers = Breakers::new(is_cluster);
            breakers.of("foo").open();
            assert!(breakers.of("{foo}:other").is_open());
            // Slot 5061.
            assert_eq!(breakers.of("bar").is_open(), others_are_open);
        }
    }
}

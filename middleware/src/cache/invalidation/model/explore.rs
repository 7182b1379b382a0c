//! Every world that can be reached, breadth first, so that the way to a fault is a shortest one.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hash, Hasher},
};

use super::{
    Bounds,
    world::{Step, World},
};

/// What an exploration found.
#[derive(Debug)]
pub(super) struct Explored {
    pub(super) worlds: usize,
    pub(super) fault: Option<(&'static str, Vec<Step>)>,
}

/// Two lanes of multiply and fold, 64 bits a word: quick, and wide enough that no two worlds meet.
struct Fingerprint(u64, u64);

impl Fingerprint {
    const LANES: (u64, u64) = (0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03);
}

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let fold = |lane: u64, by: u64| {
            let wide = u128::from(lane ^ word) * u128::from(by);
            (wide as u64) ^ ((wide >> 64) as u64) ^ by
        };
        *self = Self(
            fold(self.0, Self::LANES.0).rotate_left(23),
            fold(self.1, Self::LANES.1).rotate_left(41),
        );
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}

/// A fingerprint needs no further hashing.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks_exact(8) {
            self.0 ^= u64::from_le_bytes(chunk.try_into().unwrap());
        }
    }
}

type Ways = HashMap<u128, Option<(u128, Step)>, BuildHasherDefault<AsItIs>>;

fn fingerprint(world: &World<'_>) -> u128 {
    let mut hasher = Fingerprint(Fingerprint::LANES.1, Fingerprint::LANES.0);
    world.hash(&mut hasher);
    (u128::from(hasher.0) << 64) | u128::from(hasher.1)
}

pub(super) fn explore(bounds: &Bounds) -> Explored {
    let first = World::new(bounds);
    let mut ways = Ways::default();
    let at = fingerprint(&first);
    ways.insert(at, None);
    let mut open = VecDeque::from([(at, first)]);
    while let Some((from, world)) = open.pop_front() {
        // The worlds on the way to rest are explored anyway; whether it comes at all, a sixteenth of them shows.
        let rests = if from % 16 == 0 {
            world.check_rest_comes()
        } else {
            Ok(())
        };
        if let Err(fault) = rests {
            return found(&ways, fault, from, None);
        }
        for step in world.steps() {
            let mut next = world.clone();
            if let Err(fault) = next.take(step).and_then(|()| next.check()) {
                return found(&ways, fault, from, Some(step));
            }
            let at = fingerprint(&next);
            if let std::collections::hash_map::Entry::Vacant(new) = ways.entry(at) {
                new.insert(Some((from, step)));
                open.push_back((at, next));
            }
        }
    }
    Explored {
        worlds: ways.len(),
        fault: None,
    }
}

fn found(ways: &Ways, fault: &'static str, mut at: u128, last: Option<Step>) -> Explored {
    let mut steps: Vec<Step> = last.into_iter().collect();
    while let Some(Some((from, step))) = ways.get(&at) {
        steps.push(*step);
        at = *from;
    }
    steps.reverse();
    Explored {
        worlds: ways.len(),
        fault: Some((fault, steps)),
    }
}

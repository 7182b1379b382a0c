//! Every world that can be reached, breadth first, so that the way to a fault is a shortest one.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hash, Hasher},
};

use siphasher::sip128::{Hasher128, SipHasher13};

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

/// Two worlds of one fingerprint count as one; with 128 bits there are none.
fn fingerprint(world: &World<'_>) -> u128 {
    let mut hasher = SipHasher13::new();
    world.hash(&mut hasher);
    hasher.finish128().as_u128()
}

pub(super) fn explore(bounds: &Bounds) -> Explored {
    let first = World::new(bounds);
    let mut ways = Ways::default();
    let at = fingerprint(&first);
    ways.insert(at, None);
    let mut open = VecDeque::from([(at, first)]);
    while let Some((from, world)) = open.pop_front() {
        // Most worlds come to rest by ways that others take too: each sixteenth shows them all.
        let rests = if from % 16 == 0 {
            world.check_at_rest()
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

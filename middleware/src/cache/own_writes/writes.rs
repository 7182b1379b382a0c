//! What an unsafe request purges while it is answered.

use std::cell::RefCell;

use super::token::{At, MAX_NAMES};
use crate::cache::{
    entry::scope::{self, Place},
    invalidation::{ALL, Command, Kind, Name, Target},
};

thread_local! {
    static CURRENT: Place<Writes> = const { RefCell::new(None) };
}

/// What an unsafe request purges.
#[derive(Clone, Debug, Default)]
pub(in crate::cache) struct Writes {
    slots: Vec<u32>,
    /// The numbers of the purges, by which this instance knows them.
    pub(in crate::cache) numbers: Vec<u64>,
    /// Something is purged that has no slot.
    has_pattern: bool,
}

impl Writes {
    /// Runs `work` so that purges land here.
    pub(in crate::cache) fn scope<T>(&mut self, work: impl FnOnce() -> T) -> T {
        scope::within(&CURRENT, self, work)
    }

    /// Soft purges are left out: whoever makes them lets old answers be given.
    pub(in crate::cache) fn add(&mut self, names: &[Name], commands: &[Command]) {
        for name in names.iter().filter(|name| name.kind == Kind::Hard) {
            match &name.target {
                Target::Pattern(_) => self.has_pattern = true,
                Target::Slot(slot) if self.slots.contains(slot) => {}
                // One more than a token holds says that it is too much.
                Target::Slot(slot) if self.slots.len() <= MAX_NAMES => self.slots.push(*slot),
                Target::Slot(_) => {}
            }
        }
        self.numbers
            .extend(commands.iter().map(|command| command.number));
    }

    pub(in crate::cache) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// What the token says; `position` is that of a slot, where Redis has confirmed the purges.
    pub(in crate::cache) fn purges(
        &self,
        position: Option<&dyn Fn(u32) -> u64>,
        now_unix_s: u64,
    ) -> Vec<(u32, At)> {
        let at = |slot: u32| match position {
            Some(position) => At::Position(position(slot)),
            None => At::Unknown(now_unix_s),
        };
        let pattern = self.has_pattern.then_some((ALL, At::Unknown(now_unix_s)));
        let slots = self.slots.iter().map(|slot| (*slot, at(*slot)));
        slots.chain(pattern).collect()
    }
}

/// A purge is made; where an unsafe request is being answered, it is one of its own.
pub(in crate::cache) fn purged(names: &[Name], commands: &[Command]) {
    scope::tell(&CURRENT, |writes: &mut Writes| writes.add(names, commands));
}

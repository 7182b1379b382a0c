//! The log as a whole, explored: every order of what may happen to two instances, Redis, L1, L2 and those who ask.
//!
//! The instances are the real [`Log`](super::log::Log) and [`Table`](super::table::Table); Redis is what its scripts do.
//! Two answers are cached: an inner one, which shows the first datum, and an outer one, which shows both and is built
//! from the inner one where that is stored. Who purges has changed the datum before. What must hold in every world:
//!
//! - No instance serves, from L1, from L2 or by hand-over, what is older than a purge that it has applied or that its
//!   own caller was told of (for a soft purge: not as fresh).
//! - Once everything is connected and at rest, which always comes, nothing is alive anywhere that is older than a purge
//!   that Redis or any instance knows. What a fail-over lost and nobody alive has applied is known to nobody.
//!
//! Each [`Fault`] takes one rule out, and a test shows that it is found.
//!
//! Not modelled: time to live, clocks that go back, key collisions, memory order (see `interleavings`), more than two
//! instances, clusters of several masters. `PITCREW_MODEL=2` adds one more purge and fill to each exploration, and so on.

mod bounds;
mod checks;
mod explore;
mod happens;
mod node;
mod server;
mod tests;
mod world;

use super::name::{Kind, Name, Target};

/// Slots and patterns of a small table.
const SLOTS: usize = 3;
const PATTERNS: usize = 1;
/// The slot of the region of both answers.
const REGION: u32 = 2;

const KEYS: usize = 2;
const INNER: usize = 0;
const OUTER: usize = 1;
const SLOTS_OF: [&[u32]; KEYS] = [&[0, REGION], &[0, 1, REGION]];
const SLOTS_OF_OUTER_ALONE: &[u32] = &[1, REGION];

/// Up to which change of each datum a purge reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Truth {
    hard: [u8; 2],
    soft: [u8; 2],
}

impl Truth {
    fn merge(&mut self, other: Self) {
        for datum in 0..2 {
            self.hard[datum] = self.hard[datum].max(other.hard[datum]);
            self.soft[datum] = self.soft[datum].max(other.soft[datum]);
        }
    }

    /// The data that a name stands for.
    fn shown_by(name: &Name) -> std::ops::Range<usize> {
        match &name.target {
            Target::Slot(0) => 0..1,
            Target::Slot(1) => 1..2,
            Target::Slot(_) => 0..2,
            // Where there are patterns there is the inner answer alone.
            Target::Pattern(pattern) if &*pattern.glob == "inn*" => 0..1,
            Target::Pattern(_) => 0..0,
        }
    }

    /// The part of it that these names purge.
    fn of(self, names: &[Name]) -> Self {
        let mut part = Self::default();
        for name in names {
            for datum in Self::shown_by(name) {
                match name.kind {
                    Kind::Hard => part.hard[datum] = self.hard[datum],
                    Kind::Soft => part.soft[datum] = self.soft[datum],
                }
            }
        }
        part
    }
}

/// A rule taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// 1: the caller's highest position does not count.
    NoHighest,
    /// 2: a local purge takes the next position of Redis.
    OneSpace,
    /// 2: a borrowed position counts as an own one.
    NotMadeUp,
    /// 3: a reply moves position and cursor.
    ReplyJumps,
    /// 4: a reply ends the pending of a purge.
    ReplyConfirms,
    /// 4: a purge is sent once.
    NeverSentAgain,
    /// 5: an entry from L2 gets the request's begin, or its own stamp.
    ImportedAsBegun,
    ImportedAsStamped,
    /// 6: a fill from cached values takes its own begin, or its own tags.
    OwnStamp,
    OwnTags,
    /// 7: the cursor is read after the table; what a fail-over lost is not purged again.
    CursorApart,
    NeverHealed,
    /// 8: a record's predecessor, or a heartbeat, is not looked at.
    NoPredecessor,
    NoHeartbeat,
    /// 9: a token is satisfied by the position.
    TokenByPosition,
    /// 10: a new header has "all" at 0.
    NoAllInNewHeader,
    /// 11: a hand-over does not look again.
    NoCheckAtHandOver,
    /// 12: a table read lowers slots.
    SlotsFall,
    /// 13: soft purges have a counter of their own.
    SoftCountedApart,
}

/// How often what may happen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Budget {
    purges: u8,
    fills: u8,
    waits: u8,
    looks: u8,
    losses: u8,
    disconnects: u8,
    lapses: u8,
    restarts: u8,
    trims: u8,
    flushes: u8,
    fail_overs: u8,
}

/// What is explored.
#[derive(Clone, Debug)]
struct Bounds {
    nodes: usize,
    /// How many of them, from the first, are asked for answers that they fetch.
    asked: usize,
    /// How many of them, from the last, purge.
    purging: usize,
    names: Vec<Name>,
    /// Answers that are asked for: the inner one, or both.
    keys: usize,
    l2: bool,
    /// Replies to purges may be late; else they come at once.
    replies: bool,
    /// Entries remember the patterns that they were held against.
    hits: bool,
    /// The first purge gives a token.
    token: bool,
    /// The one that may take over catches up now and then; else it knows nothing since the beginning.
    copies: bool,
    /// Rule 1: positions are at least the time.
    clock: bool,
    budget: Budget,
    fault: Option<Fault>,
}

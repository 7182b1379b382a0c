//! What is said to Redis about purges: the scripts, and the Stream that tells of new records.

use std::{sync::Arc, time::Duration};

use redis::{Cmd, Pipeline};

use super::pool::CallError;
use crate::cache::invalidation::{
    Command, Kind, MAX_PATTERNS, Name, Pattern, Position, Record, SLOT_HASH_KEY, SLOTS, Slots,
    Snapshot, Target,
};

const PURGE: &str = concat!(
    include_str!("lua/header.lua"),
    include_str!("lua/purge.lua")
);
const TABLE: &str = concat!(
    include_str!("lua/header.lua"),
    include_str!("lua/table.lua")
);
const FOLLOW: &str = concat!(
    include_str!("lua/header.lua"),
    include_str!("lua/follow.lua")
);

/// Fails on a replica, which answers reads without saying how old they are. On a master it changes nothing.
const ON_MASTER: &str = "redis.call('HDEL', KEYS[1], '')\n";

/// Raised with every change of what the scripts keep.
const VERSION: u32 = 2;
/// Records that the Stream keeps, about. Who was away for more of them reads the table.
const MAX_RECORDS: usize = 16_384;
/// Records that are read at one time at most.
pub(super) const BATCH: usize = 512;

pub(super) type TableReply = (u64, u64, u64, u64, Vec<u8>, Vec<u8>, Vec<(String, f64)>);
/// Ids and fields.
type Records = Vec<(String, Vec<String>)>;
pub(super) type FollowReply = (Option<u64>, Records);
/// Of the one Stream that was read; `None` where there was nothing in time.
pub(super) type WaitReply = Option<Vec<(String, Records)>>;

/// The scripts of one namespace.
pub(super) struct Scripts {
    keys: [String; 5],
    format: String,
    /// Begins each script where a replica may be taken for the master.
    guard: &'static str,
}

impl Scripts {
    pub(super) fn new(namespace: &str, fails_over: bool) -> Self {
        // One hash tag, for Cluster: what a script changes together must lie together.
        let key = |part| format!("pitcrew:{{{namespace}}}:purges:{part}");
        let (low, high) = SLOT_HASH_KEY;
        Self {
            keys: ["header", "hard", "soft", "patterns", "stream"].map(key),
            format: format!("{VERSION}-{SLOTS}-{low:x}{high:x}"),
            guard: if fails_over { ON_MASTER } else { "" },
        }
    }

    /// A key that lies where all of purges lie.
    pub(super) fn key(&self) -> &str {
        &self.keys[0]
    }

    fn begin<'a>(&self, command: &'a mut Cmd, script: &str, highest: u64) -> &'a mut Cmd {
        let script = format!("{}{script}", self.guard);
        command.arg("EVAL").arg(script).arg(self.keys.len());
        command.arg(&self.keys[..]);
        command.arg(&self.format).arg(SLOTS).arg(highest)
    }

    /// Answers the position.
    pub(super) fn purge(&self, pipeline: &mut Pipeline, command: &Command) {
        let mut eval = Cmd::new();
        self.begin(&mut eval, PURGE, command.highest)
            .arg(command.instance)
            .arg(command.number)
            .arg(MAX_RECORDS)
            .arg(MAX_PATTERNS)
            .arg(command.names.iter().map(encode).collect::<Vec<_>>());
        pipeline.add_command(eval);
    }

    /// Answers a [`TableReply`].
    pub(super) fn table(&self, highest: u64) -> Cmd {
        let mut eval = Cmd::new();
        self.begin(&mut eval, TABLE, highest);
        eval
    }

    /// Answers a [`FollowReply`].
    pub(super) fn follow(&self, cursor: u64) -> Cmd {
        let mut eval = Cmd::new();
        self.begin(&mut eval, FOLLOW, 0).arg(cursor + 1).arg(BATCH);
        eval
    }

    /// Answers a [`WaitReply`] when there is a record after the cursor, or after `longest`.
    pub(super) fn wait(&self, cursor: u64, longest: Duration) -> Cmd {
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(BATCH);
        // 0 would be for ever.
        read.arg("BLOCK").arg(crate::clock::millis(longest).max(1));
        read.arg("STREAMS").arg(&self.keys[4]).arg(cursor);
        read
    }
}

/// `h` or `s`, the slot, and for a pattern `:` and the glob.
pub(super) fn encode(name: &Name) -> String {
    let kind = match name.kind {
        Kind::Hard => 'h',
        Kind::Soft => 's',
    };
    match &name.target {
        Target::Slot(slot) => format!("{kind}{slot}"),
        Target::Pattern(pattern) => format!("{kind}{}:{}", pattern.region, pattern.glob),
    }
}

pub(super) fn decode(text: &str) -> Option<Name> {
    let (kind, rest) = text.split_at_checked(1)?;
    let kind = match kind {
        "h" => Kind::Hard,
        "s" => Kind::Soft,
        _ => return None,
    };
    let (slot, glob) = match rest.split_once(':') {
        Some((region, glob)) => (region, Some(glob)),
        None => (rest, None),
    };
    let slot = slot.parse().ok().filter(|slot| *slot as usize <= SLOTS)?;
    let target = match glob {
        None => Target::Slot(slot),
        Some(glob) => Target::Pattern(Arc::new(Pattern {
            region: slot,
            glob: glob.into(),
        })),
    };
    Some(Name { kind, target })
}

/// # Errors
///
/// [`CallError::Foreign`] for what no script of ours wrote.
pub(super) fn record((id, fields): &(String, Vec<String>)) -> Result<Record, CallError> {
    let read = || {
        let mut record = Record {
            position: Position::checked(id.strip_suffix("-0")?.parse().ok()?)?,
            before: 0,
            instance: 0,
            number: 0,
            names: Vec::new(),
        };
        for field in fields.chunks(2) {
            let [name, value] = field else { return None };
            match name.as_str() {
                "before" => record.before = Position::checked(value.parse().ok()?)?,
                "instance" => record.instance = value.parse().ok()?,
                "number" => record.number = value.parse().ok()?,
                "name" => record.names.push(decode(value)?),
                _ => return None,
            }
        }
        Some(record)
    };
    read().ok_or(CallError::Foreign)
}

/// # Errors
///
/// [`CallError::Foreign`] for what no script of ours wrote.
pub(super) fn snapshot(reply: TableReply) -> Result<Snapshot, CallError> {
    let (counter, last, all, soft_all, hard, soft, patterns) = reply;
    let patterns = patterns.iter().filter(|(name, _)| !name.is_empty());
    let patterns = patterns.map(|(name, position)| {
        let position = Position::checked(*position as u64)?;
        Some((decode(name)?, position))
    });
    let patterns: Option<Vec<_>> = patterns.collect();
    let read = || {
        Some(Snapshot {
            counter: Position::checked(counter)?,
            last: Position::checked(last)?,
            hard: slots(all, &hard)?,
            soft: slots(soft_all, &soft)?,
            patterns: patterns?,
        })
    };
    read().ok_or(CallError::Foreign)
}

fn slots(all: u64, bytes: &[u8]) -> Option<Slots> {
    let (slots, rest) = bytes.as_chunks::<8>();
    let is_whole = slots.len() == SLOTS && rest.is_empty();
    let position = |slot: &[u8; 8]| Position::checked(u64::from_le_bytes(*slot));
    if !is_whole {
        return None;
    }
    Some(Slots {
        all: Position::checked(all)?,
        slots: slots.iter().map(position).collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_were_written() {
        let pattern = Pattern {
            region: 7,
            glob: "/a:b/*\n?".into(),
        };
        for target in [
            Target::Slot(0),
            Target::Slot(SLOTS as u32),
            Target::Pattern(Arc::new(pattern)),
        ] {
            for kind in [Kind::Hard, Kind::Soft] {
                let target = target.clone();
                let name = Name { kind, target };
                assert_eq!(decode(&encode(&name)), Some(name));
            }
        }
        for foreign in ["", "h", "x1", "h65537", "h-1", "s:*", "ü1"] {
            assert_eq!(decode(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_foreign_record_or_a_table_of_another_size_is_refused() {
        let fields = |fields: &[&str]| fields.iter().map(ToString::to_string).collect();
        let whole = ["before", "4", "instance", "9", "number", "1", "name", "h3"];
        let read = record(&("5-0".into(), fields(&whole))).unwrap();
        assert_eq!((read.position, read.before), (5, 4));
        assert_eq!(read.names, [Name::slot(Kind::Hard, 3)]);
        assert!(record(&("5-1".into(), fields(&whole))).is_err());
        assert!(record(&("5-0".into(), fields(&whole[..7]))).is_err());
        assert!(record(&("5-0".into(), fields(&["name", "?"]))).is_err());

        for foreign in [1 << 52, u64::MAX] {
            let id = format!("{foreign}-0");
            assert!(record(&(id, fields(&whole))).is_err(), "{foreign}");
            let foreign = foreign.to_string();
            let before = ["before", foreign.as_str()];
            assert!(record(&("5-0".into(), fields(&before))).is_err());
        }

        let table = |bytes| snapshot((1, 1, 1, 0, vec![0; bytes], vec![0; SLOTS * 8], Vec::new()));
        assert!(table(SLOTS * 8).is_ok());
        assert!(table(SLOTS * 8 - 8).is_err() && table(SLOTS * 8 + 1).is_err());
        let at = |last, all, slot: u64, pattern| {
            let slots = slot.to_le_bytes().repeat(SLOTS);
            snapshot((
                1,
                last,
                all,
                0,
                slots.clone(),
                slots,
                vec![("h1:/a".into(), pattern)],
            ))
        };
        assert!(at(1, 1, 1, 1.0).is_ok());
        assert!(at(u64::MAX, 1, 1, 1.0).is_err() && at(1, 1 << 52, 1, 1.0).is_err());
        assert!(at(1, 1, 1 << 52, 1.0).is_err() && at(1, 1, 1, f64::INFINITY).is_err());
    }
}

//! What holds for all bytes that stand in Redis; see [`crate::cache::fuzzing`].

use std::{sync::atomic::AtomicU64, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{
    compress,
    script::{self, TableReply},
    wire::{self, Answer, Value},
};
use crate::cache::{
    entry::reply_headers::ReplyHeaders,
    entry::{Credit, Entry},
    fuzzing::{blocks, bounded},
    invalidation::{Name, Position, SLOTS, Target},
    policy::{Share, Stale, VaryNames},
};

const KEY: &[u8] = b"key";
/// Bytes that reading an answer may allocate for one of its own, beside the body that it says to unpack to.
const FACTOR: u64 = 64;
/// How a frame begins (RFC 8878, 3.1.1).
const ZSTD_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// Values as they stand in Redis, read under a key of three letters; and the same bytes behind a right head and checksum,
/// which nobody finds by chance.
///
/// What is read is written and read again as the same, and is nothing under another key, cut, or longer.
pub fn wire(data: &[u8]) {
    reads_one_way(data);
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    reads_one_way(&wire::framed(*kind, KEY, rest));
    unpacks_within_bounds(rest);
    let (fields, body) = blocks(rest);
    packs_and_unpacks(body);
    writes_any_answer(fields, body);
}

fn reads_one_way(bytes: &[u8]) {
    let read = bounded_decode(bytes);
    let Some(value) = read else { return };
    assert!(wire::decode(bytes, b"yek").is_none(), "under another key");
    assert!(
        wire::decode(&bytes[..bytes.len() - 1], KEY).is_none(),
        "cut"
    );
    let longer = [bytes, b"\0"].concat();
    assert!(wire::decode(&longer, KEY).is_none(), "longer");
    match value {
        Value::Vary(names) => {
            let again = wire::decode(&wire::encode_vary(KEY, &names), KEY);
            assert!(matches!(again, Some(Value::Vary(again)) if again == names));
        }
        Value::Answer(answer) => {
            let made_unix_ms = answer.made_unix_ms;
            let answer = stamped(*answer);
            let bytes = wire::encode_answer(KEY, &answer, None, made_unix_ms);
            let Some(Value::Answer(again)) = wire::decode(&bytes, KEY) else {
                panic!("what is written is not read: {answer:?}");
            };
            assert_eq!(again.made_unix_ms, made_unix_ms);
            is_the_same(&answer, &stamped(*again));
        }
    }
}

fn bounded_decode(bytes: &[u8]) -> Option<Value> {
    // A packed body of these bytes is no longer than that, whatever its frame says.
    let unpacked = bytes.len() * compress::MAX_RATIO;
    let is_packed = bytes.windows(4).any(|magic| magic == ZSTD_MAGIC);
    let allowed = FACTOR * bytes.len() as u64 + if is_packed { unpacked as u64 } else { 0 };
    bounded(1, allowed as usize, || wire::decode(bytes, KEY))
}

/// The entry with the stamp that stood beside it.
fn stamped(answer: Answer) -> Entry {
    let mut entry = answer.entry;
    entry.stamp = Position::from_redis(answer.stamp);
    assert_eq!(entry.stamp.redis(), answer.stamp, "no position");
    entry
}

fn is_the_same(one: &Entry, other: &Entry) {
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
}

/// No packed bytes become more than they say, or take more room than such bytes can hold.
fn unpacks_within_bounds(packed: &[u8]) {
    for length in [0, 1, 1_000, 1 << 20, usize::MAX] {
        let allowed = length.min(packed.len() * compress::MAX_RATIO);
        let body = bounded(1, allowed, || compress::unpack(packed, length));
        assert!(body.is_none_or(|body| body.len() == length), "{length}");
    }
}

fn packs_and_unpacks(body: &[u8]) {
    // Long enough to be worth it.
    let body = body.repeat(1 + 8_192 / body.len().max(1));
    if let Some(packed) = compress::pack_now(&body) {
        let length = body.len();
        assert_eq!(compress::unpack(&packed, length).as_ref(), Some(&body));
        assert_eq!(compress::unpack(&packed, length - 1), None);
        assert_eq!(compress::unpack(&packed, length + 1), None);
    }
}

/// An answer with these fields and this body is read as it was written, packed or not.
fn writes_any_answer(fields: &[u8], body: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in fields.split(|byte| *byte == b'\n') {
        let at = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(at.unwrap_or(line.len()));
        let name = HeaderName::from_bytes(name);
        let value = HeaderValue::from_bytes(value);
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    // Of one connection, so never stored.
    headers.remove(http::header::AGE);
    let entry = Entry {
        headers: ReplyHeaders::new(headers),
        body: body.to_vec().into(),
        values: fields.into(),
        target: String::from_utf8_lossy(fields).into(),
        status: StatusCode::OK,
        vary: VaryNames::default(),
        share: Share::default(),
        slots: Box::new([0, SLOTS as u32 - 1]),
        checked: AtomicU64::new(0),
        stamp: Position::from_redis(5),
        made: Duration::ZERO,
        age: Duration::from_secs(1),
        fresh_for: Duration::from_secs(60),
        stale: Stale::default(),
        span: None,
        asked: None,
        credit: Credit::default(),
        took: Duration::ZERO,
    };
    let packed = compress::pack_now(body);
    for packed in [None, packed.as_deref()] {
        let bytes = wire::encode_answer(KEY, &entry, packed, 6);
        let Some(Value::Answer(read)) = wire::decode(&bytes, KEY) else {
            panic!("what is written is not read: {entry:?}");
        };
        is_the_same(&entry, &stamped(*read));
    }
}

/// A record of a purge: its id, and a line for each field's name and value. What is read can be written, and has a position that
/// is one.
///
/// Lines that are names also stand in a table, with positions from their lengths.
pub fn purges(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n').map(str::to_owned);
    let id = lines.next().unwrap_or_default();
    let reply = (id, lines.collect::<Vec<_>>());
    let read = bounded(64, text.len(), || script::record(&reply));
    if let Ok(record) = read {
        let is_position = |position| Position::from_redis(position).redis() == position;
        assert!(is_position(record.position) && is_position(record.before));
        let numbers = [
            ("before", record.before),
            ("instance", record.instance),
            ("number", record.number),
        ];
        let mut fields = Vec::new();
        for (name, number) in numbers {
            fields.extend([name.to_owned(), number.to_string()]);
        }
        for name in &record.names {
            fields.extend(["name".to_owned(), script::encode(name)]);
        }
        let again = script::record(&(format!("{}-0", record.position), fields));
        assert_eq!(again.ok(), Some(record));
    }
    let names = reply.1.iter().filter_map(|line| script::decode(line));
    for name in names {
        is_a_name(&name);
    }
}

fn is_a_name(name: &Name) {
    assert_eq!(script::decode(&script::encode(name)).as_ref(), Some(name));
    let slot = match &name.target {
        Target::Slot(slot) => *slot,
        Target::Pattern(pattern) => pattern.region,
    };
    assert!(slot as usize <= SLOTS, "{name:?}");
}

/// A table as Redis answers it: four numbers, then each slot's, eight bytes each, then a line for each live pattern. Every position
/// in what is read is one.
pub fn purge_table(data: &[u8]) {
    let (head, rest) = data.split_at_checked(40).unwrap_or((data, &[]));
    let mut numbers = head
        .as_chunks()
        .0
        .iter()
        .map(|bytes| u64::from_le_bytes(*bytes));
    let mut number = || numbers.next().unwrap_or(0);
    let (counter, last, all, soft_all, slot) = (number(), number(), number(), number(), number());
    let mut slots = vec![0; SLOTS * 8];
    slots[..8].copy_from_slice(&slot.to_le_bytes());
    let text = String::from_utf8_lossy(rest);
    let patterns = text.split('\n').map(|line| {
        let (name, position) = line.split_once(' ').unwrap_or((line, "0"));
        (name.to_owned(), position.parse().unwrap_or(f64::INFINITY))
    });
    let reply: TableReply = (
        counter,
        last,
        all,
        soft_all,
        slots.clone(),
        slots,
        patterns.collect(),
    );
    let Ok(snapshot) = script::snapshot(reply) else {
        return;
    };
    let slots = [&snapshot.hard, &snapshot.soft];
    let positions = [snapshot.counter, snapshot.last].into_iter();
    let positions = positions
        .chain(slots.iter().flat_map(|slots| [slots.all, slots.slots[0]]))
        .chain(snapshot.patterns.iter().map(|(_, position)| *position));
    for position in positions {
        assert_eq!(Position::from_redis(position).redis(), position);
    }
    snapshot
        .patterns
        .iter()
        .for_each(|(name, _)| is_a_name(name));
}

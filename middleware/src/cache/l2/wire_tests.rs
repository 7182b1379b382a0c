//! Values written and read again; foreign and damaged ones.

use proptest::prelude::*;

use super::*;

fn entry() -> Entry {
    let mut headers = HeaderMap::new();
    headers.append("x-a", HeaderValue::from_static("1"));
    headers.append("x-a", HeaderValue::from_static("2"));
    Entry {
        status: StatusCode::OK,
        headers: ReplyHeaders::new(headers),
        body: Bytes::from_static(b"hello"),
        vary: VaryNames {
            names: vec![HeaderName::from_static("accept")],
            normalized: true,
        },
        values: Box::new([1, 2, 3]),
        share: Share {
            cookie: true,
            authorization: false,
        },
        slots: Box::new([7, 9]),
        target: "/a?b".into(),
        checked: AtomicU64::new(0),
        stamp: Position::from_redis(5).next_local(),
        made: Duration::ZERO,
        age: Duration::from_secs(1),
        fresh_for: Duration::from_secs(60),
        stale: Stale {
            forbidden: true,
            while_revalidate: Duration::from_secs(2),
            if_error: Duration::from_secs(3),
        },
        span: None,
        asked: None,
        took: Duration::ZERO,
        credit: Credit::default(),
    }
}

#[test]
fn what_is_written_is_read_back() {
    let bytes = encode_answer(b"key", &entry(), None, 6);
    let Some(Value::Answer(answer)) = decode(&bytes, b"key") else {
        panic!("not read")
    };
    let (read, wrote) = (&answer.entry, entry());
    assert_eq!((answer.stamp, answer.made_unix_ms), (5, 6));
    assert_eq!(read.headers, wrote.headers);
    assert_eq!(
        (&read.body, &read.vary, &read.values, read.share),
        (&wrote.body, &wrote.vary, &wrote.values, wrote.share)
    );
    assert_eq!(
        (
            read.age,
            read.fresh_for,
            read.stale,
            &read.slots,
            &read.target
        ),
        (
            wrote.age,
            wrote.fresh_for,
            wrote.stale,
            &wrote.slots,
            &wrote.target
        )
    );
    let vary = encode_vary(b"key", &wrote.vary);
    assert!(matches!(decode(&vary, b"key"), Some(Value::Vary(names)) if names == wrote.vary));
}

#[test]
fn c12_cut_damaged_wrong_version_and_wrong_key_bytes_are_nothing() {
    let bytes = encode_answer(b"key", &entry(), None, 6);
    assert!(decode(&bytes, b"other").is_none());
    for length in 0..bytes.len() {
        assert!(
            decode(&bytes[..length], b"key").is_none(),
            "cut at {length}"
        );
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x20;
        assert!(decode(&damaged, b"key").is_none(), "damaged at {at}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(decode(&longer, b"key").is_none());
}

/// An answer as another writer may have put it there.
fn foreign(stamp: u64, fields: usize) -> Vec<u8> {
    let mut rest = Vec::new();
    put_vary(&mut rest, &VaryNames::default());
    put(&mut rest, b"");
    rest.extend_from_slice(&200_u16.to_le_bytes());
    rest.push(0);
    for number in [stamp, 6, 0, 0, 0, 0] {
        rest.extend_from_slice(&u64::to_le_bytes(number));
    }
    put_count(&mut rest, 0);
    put(&mut rest, b"/");
    let mut section = Vec::new();
    put_count(&mut section, fields);
    for n in 0..fields {
        put(&mut section, format!("x-{n}").as_bytes());
        put(&mut section, b"");
    }
    put(&mut rest, &section);
    rest.push(PLAIN);
    put_count(&mut rest, 0);
    put(&mut rest, b"");
    framed(KIND_ANSWER, b"key", &rest)
}

#[test]
fn c12_more_fields_than_a_map_holds_are_nothing() {
    assert!(decode(&foreign(5, MAX_FIELDS), b"key").is_some());
    for fields in [MAX_FIELDS + 1, 24_576, 40_000] {
        assert!(decode(&foreign(5, fields), b"key").is_none(), "{fields}");
    }
}

#[test]
fn c12_a_stamp_that_redis_never_gives_is_nothing() {
    assert!(decode(&foreign((1 << 52) - 1, 0), b"key").is_some());
    for stamp in [1 << 52, u64::MAX] {
        assert!(decode(&foreign(stamp, 0), b"key").is_none(), "{stamp}");
    }
}

proptest! {
    /// Foreign bytes never panic, never allocate absurdly, and are nothing, also behind a right head and checksum.
    #[test]
    fn c12_foreign_bytes_are_nothing(foreign in proptest::collection::vec(any::<u8>(), 0..200), kind in 0_u8..4) {
        prop_assert!(decode(&foreign, b"key").is_none());
        let _ = decode(&framed(kind, b"key", &foreign), b"key");
    }
}

//! Bodies are compressed in Redis where that pays (zstd, level 1).

use bytes::Bytes;

/// Level 1: some 400 MB/s on one core, and most of what higher levels gain on text.
#[cfg(feature = "zstd")]
const LEVEL: i32 = 1;
/// What saves less than a tenth is not worth unpacking.
#[cfg(feature = "zstd")]
const WORTH_IT: usize = 10;
/// A body of this many bytes is packed on a thread for blocking work: it takes more than half a millisecond.
const LARGE_BYTES: usize = 256 << 10;
/// What a value says to be longer unpacked is not unpacked: nobody stores such a body.
#[cfg(feature = "zstd")]
const MAX_UNPACKED_BYTES: usize = 256 << 20;
/// No packed byte becomes more: a block of zstd takes four bytes at least, and holds 128 KiB at most (RFC 8878, 3.1.1.2).
#[cfg(any(test, fuzzing, feature = "zstd"))]
pub(super) const MAX_RATIO: usize = (128 << 10) / 4;

/// The body, packed; `None` where it stands as it is: it is small, or packing saves nothing.
pub(super) async fn pack(body: &Bytes, above: usize) -> Option<Vec<u8>> {
    if body.len() <= above {
        return None;
    }
    if body.len() < LARGE_BYTES {
        return pack_now(body);
    }
    let body = body.clone();
    let packing = tokio::task::spawn_blocking(move || pack_now(&body));
    packing.await.ok().flatten()
}

#[cfg(feature = "zstd")]
pub(super) fn pack_now(body: &[u8]) -> Option<Vec<u8>> {
    let packed = zstd::bulk::compress(body, LEVEL).ok()?;
    (packed.len() + body.len() / WORTH_IT < body.len()).then_some(packed)
}

#[cfg(not(feature = "zstd"))]
pub(super) fn pack_now(_: &[u8]) -> Option<Vec<u8>> {
    None
}

/// The body that was packed, exactly `length` bytes; `None` for damaged bytes, and in a build without zstd.
#[cfg(feature = "zstd")]
pub(super) fn unpack(packed: &[u8], length: usize) -> Option<Vec<u8>> {
    // What cannot be true is not made room for.
    if length > MAX_UNPACKED_BYTES || length > packed.len().saturating_mul(MAX_RATIO) {
        return None;
    }
    let body = zstd::bulk::decompress(packed, length).ok()?;
    (body.len() == length).then_some(body)
}

#[cfg(not(feature = "zstd"))]
pub(super) fn unpack(_: &[u8], _: usize) -> Option<Vec<u8>> {
    None
}

#[cfg(all(test, feature = "zstd"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_pays_is_packed_and_unpacked_again() {
        for length in [5_000, LARGE_BYTES + 1] {
            let body = Bytes::from(vec![b'x'; length]);
            let packed = pack(&body, 4_096).await.unwrap();
            assert!(packed.len() < length / 10);
            assert_eq!(unpack(&packed, length).unwrap(), body);
        }
    }

    #[tokio::test]
    async fn small_and_random_bodies_stand_as_they_are() {
        let small = Bytes::from(vec![b'x'; 4_096]);
        assert_eq!(pack(&small, 4_096).await, None);
        let mut random = vec![0_u8; 8_192];
        getrandom::fill(&mut random).unwrap();
        assert_eq!(pack(&Bytes::from(random), 4_096).await, None);
    }

    #[test]
    fn c12_a_bomb_or_damage_is_nothing() {
        let packed = zstd::bulk::compress(&vec![0; 1 << 20], LEVEL).unwrap();
        assert_eq!(unpack(&packed, 1_000), None, "longer than it says");
        assert_eq!(unpack(&packed, (1 << 20) + 1), None, "shorter than it says");
        assert_eq!(unpack(&packed, usize::MAX), None);
        assert_eq!(unpack(&packed[..packed.len() / 2], 1 << 20), None);
        assert_eq!(
            unpack(&packed[..7], 7 * MAX_RATIO + 1),
            None,
            "more than so few bytes can hold"
        );
        assert_eq!(unpack(b"no zstd at all", 5), None);
    }
}

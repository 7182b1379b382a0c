//! Histograms as text: HDR's format V2 in base64, which other tools read, and which merges exactly.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};

use crate::packed::Packed;
use crate::record;

/// More than any run can count, so that sums of what files say never overflow.
pub(super) const MAX_COUNT: u64 = 1_000_000_000_000;
/// Of a serialised histogram: magic number and length of what follows, then the bounds that all of ours share.
const BOUNDS: std::ops::Range<usize> = 8..40;

pub(super) fn written(packed: &Packed) -> String {
    STANDARD.encode(bytes(&packed.unpacked()))
}

fn bytes(histogram: &Histogram<u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Neither memory nor a count of ours can be more than the format takes.
    let _ = V2Serializer::new().serialize(histogram, &mut bytes);
    bytes
}

/// What is wrong is said as a half sentence.
pub(super) fn read(text: &str) -> Result<Packed, String> {
    let bytes = STANDARD
        .decode(text)
        .map_err(|error| format!("is no base64: {error}"))?;
    // Before anything is made of it: other bounds may mean a histogram of any size.
    let own = self::bytes(&record::histogram());
    if bytes.get(BOUNDS) != own.get(BOUNDS) || bytes[..4] != own[..4] {
        return Err("is no HDR V2 histogram of this tester".to_owned());
    }
    let histogram: Histogram<u64> = Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|error| format!("cannot be read: {error}"))?;
    if histogram.len() > MAX_COUNT {
        return Err("counts more than a run can".to_owned());
    }
    Ok(Packed::of(&histogram))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_was_written() {
        let mut histogram = record::histogram();
        for us in [1, 1, 999, 3_000_000, u64::MAX >> 1] {
            histogram.saturating_record(us);
        }
        for histogram in [histogram, record::histogram()] {
            let packed = Packed::of(&histogram);
            assert_eq!(read(&written(&packed)), Ok(packed));
        }
    }

    #[test]
    fn what_is_no_histogram_of_ours_is_refused() {
        let of = |histogram: &Histogram<u64>| STANDARD.encode(bytes(histogram));
        let mut own = record::histogram();
        own.saturating_record_n(5, MAX_COUNT + 1);
        let mut cut = bytes(&own);
        cut.truncate(cut.len() - 1);
        let other = Histogram::<u64>::new_with_bounds(1, u64::MAX >> 1, 5).expect("bounds");
        for (text, wants) in [
            (String::new(), "no HDR V2"),
            ("AAAA".to_owned(), "no HDR V2"),
            ("?".to_owned(), "no base64"),
            (of(&other), "no HDR V2"),
            (of(&own), "more than a run can"),
            (STANDARD.encode(cut), "cannot be read"),
        ] {
            let error = read(&text).expect_err("refused");
            assert!(error.contains(wants), "{text}: {error}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        use rand::rngs::StdRng;
        use rand::{RngExt, SeedableRng};
        let mut random = StdRng::seed_from_u64(2);
        let mut histogram = record::histogram();
        for us in 1..500 {
            histogram.saturating_record(us * us);
        }
        let good = bytes(&histogram);
        for _ in 0..2_000 {
            let mut bad = good.clone();
            for _ in 0..random.random_range(1..4) {
                // The bounds stay, or most would end there.
                let at = random.random_range(BOUNDS.end..bad.len());
                bad[at] = random.random();
            }
            bad.truncate(random.random_range(BOUNDS.end..=bad.len()));
            let _ = read(&STANDARD.encode(bad));
        }
    }
}

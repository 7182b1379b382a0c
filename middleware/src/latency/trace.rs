//! [`TraceId`]: which trace a request belongs to.

use http::{HeaderMap, HeaderValue};

/// Headers that are looked through one by one.
const FEW_HEADERS: usize = 8;

/// A trace id, all zeros where there is none: that is never a valid one. In two words, which pass in registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TraceId(u64, u64);

impl TraceId {
    /// That of a request's `traceparent`, by W3C Trace Context, 3.2: `version "-" trace-id "-" parent-id "-" flags`, in lower-case
    /// hexadecimal digits; a version other than 00 may have more after a further `-`, and ff is no version. Of two the first counts.
    #[inline]
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        static NAME: http::HeaderName = http::HeaderName::from_static("traceparent");
        // A hash of the name costs as much as a look at some ten others.
        let may_have = headers.len() > FEW_HEADERS || headers.keys().any(|name| *name == NAME);
        if may_have {
            return Self::read(headers.get(&NAME));
        }
        Self::default()
    }

    #[inline(never)]
    fn read(value: Option<&HeaderValue>) -> Self {
        let id = value.and_then(|value| Self::parse(value.as_bytes()));
        id.unwrap_or_default()
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let (known, rest) = text.split_first_chunk::<55>()?;
        let version = known.get(..2)?;
        let is_extended = !rest.is_empty();
        if version == b"ff" || is_extended && (version == b"00" || rest.first() != Some(&b'-')) {
            return None;
        }
        let mut id = 0_u128;
        for (place, byte) in known.iter().enumerate() {
            if matches!(place, 2 | 35 | 52) {
                if *byte != b'-' {
                    return None;
                }
                continue;
            }
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                _ => return None,
            };
            if let 3..35 = place {
                id = id << 4 | u128::from(digit);
            }
        }
        let has_parent = known[36..52].iter().any(|digit| *digit != b'0');
        let is_valid = id != 0 && has_parent;
        is_valid.then_some(Self((id >> 64) as u64, id as u64))
    }

    /// 32 hexadecimal digits.
    pub(crate) fn text(self) -> Option<String> {
        (self != Self::default()).then(|| format!("{:016x}{:016x}", self.0, self.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_is_taken_by_the_rules_of_w3c_alone() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let of = |text: &str| TraceId::parse(text.as_bytes()).and_then(TraceId::text);
        assert_eq!(
            of(valid).as_deref(),
            Some("4bf92f3577b34da6a3ce929d0e0e4736")
        );
        assert!(
            of(&valid.replacen("00", "cc", 1)).is_some(),
            "a later version"
        );
        assert!(of(&format!("{}-more", valid.replacen("00", "cc", 1))).is_some());
        for wrong in [
            "",
            &valid[..54],
            &format!("{valid}-more"),
            &format!("{}more", valid.replacen("00", "cc", 1)),
            &valid.replacen("00", "ff", 1),
            &valid.replace('b', "B"),
            &valid.replace('-', "_"),
            &valid.replacen("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32), 1),
            &valid.replacen("00f067aa0ba902b7", &"0".repeat(16), 1),
            &valid.replacen('4', "g", 1),
            &valid.replacen('4', "é", 1),
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}

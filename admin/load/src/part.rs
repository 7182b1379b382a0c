//! A process's part of a plan that several share.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Into how many parts a plan can be split: 1,000.
pub const MAX_PARTS: u64 = 1_000;

/// One of several parts that are a plan together, as text `1/4`. Arrivals are dealt out in turn, so each is in exactly one part
/// whatever the stages and the spacing; connections and requests are split as evenly as whole numbers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct Part {
    /// From 0.
    pub(crate) index: u64,
    pub(crate) of: u64,
}

impl Part {
    /// All of it.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Which one, from 1.
    #[must_use]
    pub fn number(self) -> u64 {
        self.index + 1
    }

    /// Of how many.
    #[must_use]
    pub fn of(self) -> u64 {
        self.of
    }

    /// How many of so many are this part's.
    pub(crate) fn share(self, total: u64) -> u64 {
        total / self.of + u64::from(self.index < total % self.of)
    }
}

/// A text that is no part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no part: write 1/4 for the first of four, at most of {MAX_PARTS}")]
pub struct PartError(String);

impl FromStr for Part {
    type Err = PartError;

    fn from_str(text: &str) -> Result<Self, PartError> {
        let numbers = text
            .split_once('/')
            .and_then(|(number, of)| Some((number.parse::<u64>().ok()?, of.parse::<u64>().ok()?)));
        match numbers {
            Some((number, of)) if (1..=of).contains(&number) && of <= MAX_PARTS => Ok(Self {
                index: number - 1,
                of,
            }),
            _ => Err(PartError(text.to_owned())),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number(), self.of)
    }
}

impl TryFrom<String> for Part {
    type Error = PartError;

    fn try_from(text: String) -> Result<Self, PartError> {
        text.parse()
    }
}

impl From<Part> for String {
    fn from(part: Part) -> Self {
        part.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_numbered_from_one() {
        for text in ["1/1", "1/4", "4/4", "1000/1000"] {
            let part: Part = text.parse().expect(text);
            assert_eq!(part.to_string(), text);
        }
        for text in [
            "", "1", "0/4", "5/4", "1/0", "-1/4", "1/4/2", "1/1001", "1.5/2", "a/b",
        ] {
            assert!(text.parse::<Part>().is_err(), "{text}");
        }
        assert_eq!("1/1".parse(), Ok(Part::WHOLE));
    }

    #[test]
    fn shares_are_the_whole_together_and_differ_by_one_at_most() {
        for total in [1, 7, 1_000, 1_024, 99_999_999] {
            for of in [1, 2, 3, 7, 1_000] {
                let shares: Vec<_> = (0..of)
                    .map(|index| Part { index, of }.share(total))
                    .collect();
                assert_eq!(shares.iter().sum::<u64>(), total);
                assert!(
                    shares
                        .iter()
                        .max()
                        .zip(shares.iter().min())
                        .is_some_and(|(most, least)| most - least <= 1)
                );
            }
        }
    }
}

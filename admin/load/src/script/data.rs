//! Where values come from.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rand::RngExt;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::rows::{Order, Rows};
use crate::part::Part;
use crate::plan::{MAX_REQUESTS, PlanError, wrong};

/// The longest random text.
const MAX_TEXT: usize = 8_192;
/// Letters and digits, as identifiers have them.
const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// One value for each visit. What is random comes of the plan's `seed` and the visitor's number, so that the same plan has the
/// same values, in an order that the target's speed decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Source {
    /// A number that no other visit of the run has, of all parts together.
    Counter {
        /// The first. Default 1.
        #[serde(default = "first")]
        from: u64,
        /// To the next: 1 or more. Default 1.
        #[serde(default = "first")]
        step: u64,
    },
    /// A random whole number from `from` to `to`, both included, each as likely.
    Integer {
        /// The least.
        from: i64,
        /// The most.
        to: i64,
    },
    /// One of these, each as likely.
    Choice(Vec<String>),
    /// Random small letters and digits.
    Text {
        /// So many: 1 to 8,192.
        length: usize,
    },
    /// A random UUID (RFC 9562, version 4).
    Uuid {},
    /// A row, whose columns are `{{name.column}}`.
    Rows(Rows),
}

const fn first() -> u64 {
    1
}

/// A source that can be drawn from, by all threads.
#[derive(Debug)]
pub(super) struct Drawn {
    kind: Kind,
    /// The columns that templates use, and where their values go.
    pub(super) outputs: Vec<(usize, usize)>,
}

#[derive(Debug)]
enum Kind {
    Counter {
        from: u64,
        step: u64,
        turn: Turn,
    },
    Integer {
        from: i64,
        to: i64,
    },
    Choice(Vec<String>),
    Text(usize),
    Uuid,
    Rows {
        columns: Vec<String>,
        /// Row by row.
        cells: Vec<String>,
        /// None for any order.
        turn: Option<Turn>,
    },
}

/// Counts 0, 1, 2 ... over all parts: each process has every `of`-th.
#[derive(Debug)]
struct Turn {
    next: AtomicU64,
    of: u64,
}

impl Turn {
    fn new(part: Part) -> Self {
        Self {
            next: AtomicU64::new(part.number() - 1),
            of: part.of(),
        }
    }

    fn take(&self) -> u64 {
        self.next.fetch_add(self.of, Relaxed)
    }
}

impl Source {
    /// About as many bytes as its values have in the plan.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Choice(texts) => texts.iter().map(|text| text.len() as u64).sum(),
            Self::Rows(rows) => rows.bytes(),
            _ => 0,
        }
    }

    /// Leaves of its rows only where they came from.
    pub(crate) fn forget_rows(&mut self) {
        if let Self::Rows(rows) = self {
            rows.forget();
        }
    }

    pub(super) fn compile(&self, field: &str, part: Part) -> Result<Drawn, PlanError> {
        let kind = match self {
            Self::Counter { step: 0, .. } => {
                return wrong(&format!("{field}.counter.step"), "wants 1 or more");
            }
            Self::Counter { from, step }
                if u128::from(*step) * u128::from(MAX_REQUESTS) + u128::from(*from)
                    > u128::from(u64::MAX) =>
            {
                return wrong(
                    &format!("{field}.counter"),
                    format!(
                        "would run out of numbers before {MAX_REQUESTS} visits: take a smaller `step` or `from`"
                    ),
                );
            }
            Self::Counter { from, step } => Kind::Counter {
                from: *from,
                step: *step,
                turn: Turn::new(part),
            },
            Self::Integer { from, to } if from > to => {
                return wrong(
                    &format!("{field}.integer"),
                    format!("wants `from` at or below `to`, has {from} and {to}"),
                );
            }
            Self::Integer { from, to } => Kind::Integer {
                from: *from,
                to: *to,
            },
            Self::Choice(texts) if texts.is_empty() => {
                return wrong(&format!("{field}.choice"), "wants at least one text");
            }
            Self::Choice(texts) => Kind::Choice(texts.clone()),
            Self::Text { length } if !(1..=MAX_TEXT).contains(length) => {
                return wrong(
                    &format!("{field}.text.length"),
                    format!("wants 1 to {MAX_TEXT}"),
                );
            }
            Self::Text { length } => Kind::Text(*length),
            Self::Uuid {} => Kind::Uuid,
            Self::Rows(rows) => {
                let (columns, cells) = rows.read(&format!("{field}.rows"))?;
                Kind::Rows {
                    columns,
                    cells,
                    turn: (rows.order == Order::Sequential).then(|| Turn::new(part)),
                }
            }
        };
        Ok(Drawn {
            kind,
            outputs: Vec::new(),
        })
    }
}

/// Of the system's random numbers and no seed: what is to be unique is so among runs and scenarios too.
fn unique(random: &mut StdRng) -> u128 {
    let mut bytes = [0; 16];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u128::from_be_bytes(bytes),
        Err(_) => random.random(),
    }
}

impl Drawn {
    /// The place of a column, `None` for the value of what has none; or what is there instead.
    pub(super) fn column(&self, name: Option<&str>) -> Result<usize, String> {
        match (&self.kind, name) {
            (Kind::Rows { columns, .. }, Some(name)) => columns
                .iter()
                .position(|column| column == name)
                .ok_or_else(|| format!("its columns are {}", columns.join(", "))),
            (Kind::Rows { columns, .. }, None) => Err(format!(
                "it has the columns {}: name one",
                columns.join(", ")
            )),
            (_, Some(_)) => Err("it has no columns".to_owned()),
            (_, None) => Ok(0),
        }
    }

    /// The next values, into their places.
    pub(super) fn draw(&self, random: &mut StdRng, values: &mut [String]) {
        if let Kind::Rows {
            columns,
            cells,
            turn,
        } = &self.kind
        {
            let rows = cells.len() / columns.len();
            let row = match turn {
                Some(turn) => (turn.take() % rows as u64) as usize,
                None => random.random_range(0..rows),
            };
            for (column, slot) in &self.outputs {
                values[*slot].clone_from(&cells[row * columns.len() + column]);
            }
            return;
        }
        for (_, slot) in &self.outputs {
            let value = &mut values[*slot];
            value.clear();
            // Writing to a String cannot fail.
            let _ = match &self.kind {
                Kind::Counter { from, step, turn } => {
                    // Checked for as many visits as a run can have.
                    let number = step.wrapping_mul(turn.take()).wrapping_add(*from);
                    write!(value, "{number}")
                }
                Kind::Integer { from, to } => {
                    write!(value, "{}", random.random_range(*from..=*to))
                }
                Kind::Choice(texts) => {
                    value.push_str(&texts[random.random_range(0..texts.len())]);
                    Ok(())
                }
                Kind::Text(length) => {
                    let letter = |_| char::from(LETTERS[random.random_range(0..LETTERS.len())]);
                    value.extend((0..*length).map(letter));
                    Ok(())
                }
                _ => {
                    let bits = unique(random);
                    // Version 4, variant 10.
                    let bits = bits & !(0xF << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
                    let hex = format!("{bits:032x}");
                    let parts = [
                        &hex[..8],
                        &hex[8..12],
                        &hex[12..16],
                        &hex[16..20],
                        &hex[20..],
                    ];
                    value.push_str(&parts.join("-"));
                    Ok(())
                }
            };
        }
    }
}

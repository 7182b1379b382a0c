//! The advisor: which indexes are worth their bytes. Plain Rust, no server needed: what a statement would cost with a
//! set of indexes is asked through [`CostModel`], so the search runs the same over the server's own planner and over
//! a table of numbers in a test.

mod candidate;
mod candidates;
mod name;
mod search;
mod size;
mod superfluous;
mod upkeep;

pub use candidate::{Candidate, Expression, Key, LEAST_BESIDE, Method, Of};
pub use candidates::{Condition, Facts, Used, candidates, is_covered};
pub use name::{MAX_NAME_BYTES, index_name, stable_hash};
pub use search::{Chosen, CostModel, Found, Helped, Limits, Plan, search};
pub use size::{
    BrinShape, BtreeShape, ColumnWidth, Frequencies, GinKey, GinShape, Group, HashShape,
    IndexShape, IndexSize, WORTH_DEDUPLICATING, brin_size, btree_size, distinct_pairs, gin_size,
    groups, hash_size, index_size, tuple_bytes,
};
pub use superfluous::{ForeignKey, Superfluous, There, Why, superfluous};
pub use upkeep::{
    Change, Existing, Kept, Prices, Spent, Write, Writes, hot_loss, upkeep, write_loss,
};

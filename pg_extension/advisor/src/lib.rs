//! The advisor: which indexes are worth their bytes. Plain Rust, no server needed: what a statement would cost with a
//! set of indexes is asked through [`CostModel`], so the search runs the same over the server's own planner and over
//! a table of numbers in a test.

mod candidates;
mod name;
mod search;
mod size;

pub use candidates::{Candidate, Columns, candidates, is_covered};
pub use name::{MAX_NAME_BYTES, index_name, stable_hash};
pub use search::{Chosen, CostModel, Helped, Limits, search};
pub use size::{ColumnWidth, IndexShape, IndexSize, distinct_pairs, index_size};

//! The advisor: which indexes are worth their bytes. Plain Rust, no server needed.

mod name;

pub use name::{MAX_NAME_BYTES, index_name, stable_hash};

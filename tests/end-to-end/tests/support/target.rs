//! Where tests keep what is worth a look, or too slow to make each time.

use std::path::PathBuf;

/// `target/pitcrew/NAME`, made where it is not there.
pub(crate) fn folder(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| pitcrew_stack::checkout().join("target"), PathBuf::from);
    let folder = target.join("pitcrew").join(name);
    if let Err(error) = std::fs::create_dir_all(&folder) {
        panic!("{}: {error}", folder.display());
    }
    folder
}

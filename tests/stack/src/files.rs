//! Copying trees and writing files.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crate::account::Account;
use crate::error::{Error, Result};
use crate::place::set_mode;

/// Copies the directory `from` to the new directory `to`, links followed (dangling ones left out); `keep` decides by the path relative to `from`.
/// Files keep their mode; directories get 0755.
pub(crate) fn copy_tree(from: &Path, to: &Path, keep: &dyn Fn(&Path) -> bool) -> Result<()> {
    copy(from, from, to, 0o755, keep, &|_| Ok(()))
}

/// Copies a data directory: mode 0700 throughout, everything owned by `account`.
pub(crate) fn copy_cluster(from: &Path, to: &Path, account: &Account) -> Result<()> {
    copy(from, from, to, 0o700, &|_| true, &|path| account.own(path))
}

fn copy(
    root: &Path,
    from: &Path,
    to: &Path,
    mode: u32,
    keep: &dyn Fn(&Path) -> bool,
    done: &dyn Fn(&Path) -> Result<()>,
) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(to)
        .map_err(Error::io("make", to))?;
    set_mode(to, mode)?;
    done(to)?;
    for entry in fs::read_dir(from).map_err(Error::io("list", from))? {
        let entry = entry.map_err(Error::io("list", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if !keep(source.strip_prefix(root).unwrap_or(&source)) {
            continue;
        }
        match fs::metadata(&source) {
            Ok(found) if found.is_dir() => copy(root, &source, &target, mode, keep, done)?,
            Ok(found) if found.is_file() => {
                fs::copy(&source, &target).map_err(Error::io("write", &target))?;
                done(&target)?;
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("read", source)(error)),
        }
    }
    Ok(())
}

/// Replaces `target` by unlinking it and putting a new file in its place: a running server keeps what it has mapped,
/// where writing over the old file could kill it.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn replace(target: &Path, contents: &[u8], mode: u32) -> Result<()> {
    let mut name = target.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".new{}", std::process::id()));
    let fresh = target.with_file_name(name);
    fs::write(&fresh, contents).map_err(Error::io("write", &fresh))?;
    set_mode(&fresh, mode)?;
    fs::rename(&fresh, target).map_err(Error::io("write", target))
}

/// `replace` for a file that everybody may read (mode 0644).
///
/// # Errors
/// [`Error::Io`].
pub fn replace_world_readable(target: &Path, contents: &[u8]) -> Result<()> {
    replace(target, contents, 0o644)
}

//! Servers that were unpacked from another suite bring their own libc: their programs name the loader by an absolute
//! path, which has to be set again after every move.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::process;

/// Sets the loader and run path of every program in `bin` to those in `libraries`, by the `patchelf` that was unpacked
/// with them (and is itself run through that loader).
pub(super) fn point_to_loader(bin: &Path, libraries: &Path) -> Result<()> {
    let is_loader = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("ld-linux"))
    };
    let loader = list(libraries)?
        .into_iter()
        .find(is_loader)
        .ok_or_else(|| Error::Missing {
            what: format!("the loader in {}", libraries.display()),
            fix: "remove that folder's parent and run again".into(),
        })?;
    for program in list(bin)? {
        if !fs::read(&program).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF")) {
            continue;
        }
        process::output(
            Command::new(&loader)
                .arg("--library-path")
                .arg(libraries)
                .arg(libraries.join("patchelf"))
                .arg("--set-interpreter")
                .arg(&loader)
                .args(["--force-rpath", "--set-rpath"])
                .arg(libraries)
                .arg(&program),
        )?;
    }
    Ok(())
}

fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).map_err(Error::io("list", dir))?;
    Ok(entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect())
}

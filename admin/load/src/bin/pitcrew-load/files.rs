//! Files of results, read and written.

use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use pitcrew_load::{CapacityResults, Results};

use super::arguments::Output;

/// The largest file that is read: 64 MiB, where ten minutes take about five.
const MAX_BYTES: u64 = 64 << 20;

/// Whether each file can be written, without changing one that is there, and is no other's: not twice the same, and none of those
/// that are `read`.
pub(super) fn check<'a>(
    output: &Output,
    read: impl IntoIterator<Item = &'a PathBuf>,
) -> Result<(), String> {
    let place = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut taken: Vec<_> = read.into_iter().map(|path| place(path)).collect();
    for path in output.paths().into_iter().flatten() {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        let place = place(path);
        // What is no file, such as /dev/stdout, holds nothing that could be lost.
        if place.is_file() && taken.contains(&place) {
            return Err(format!(
                "{} is named twice: results would overwrite it",
                path.display()
            ));
        }
        taken.push(place);
    }
    Ok(())
}

pub(super) fn write(output: &Output, results: &Results) -> Result<(), String> {
    let forms: [fn(&Results) -> String; 4] = [
        Results::json,
        Results::html,
        Results::junit,
        Results::hdr_log,
    ];
    for (path, form) in output.paths().into_iter().zip(forms) {
        if let Some(path) = path {
            fs::write(path, form(results))
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
    }
    Ok(())
}

pub(super) fn write_capacity(output: &Output, results: &CapacityResults) -> Result<(), String> {
    for (path, text) in [
        (&output.json, results.json()),
        (&output.html, results.html()),
    ] {
        if let Some(path) = path {
            fs::write(path, text)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
    }
    Ok(())
}

pub(super) fn read(path: &Path) -> Result<Results, String> {
    let name = path.display();
    let cannot = |error| format!("cannot read {name}: {error}");
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text))
        .map_err(cannot)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("{name} is larger than {} MiB", MAX_BYTES >> 20));
    }
    Results::read(&text).map_err(|error| format!("{name} {error}"))
}

pub(super) fn read_all(paths: &[PathBuf]) -> Result<Vec<(String, Results)>, String> {
    paths
        .iter()
        .map(|path| Ok((path.display().to_string(), read(path)?)))
        .collect()
}

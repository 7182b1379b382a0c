//! The extension's install script, read out of the compiled library.
//!
//! pgrx stores a description of every SQL object in a section of the shared object. Reading it there gives the same
//! text from a debug build and from a stripped release build, without a second build and without `cargo-pgrx`.

use std::path::{Path, PathBuf};

use object::{Object, ObjectSection};
use pgrx_sql_entity_graph::section::{ELF_SECTION_NAME, MACHO_SECTION_NAME, decode_entities};
use pgrx_sql_entity_graph::{ControlFile, PgrxSql, SqlGraphEntity};

/// Why no install script could be made. Each message says which file was at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallSqlError {
    /// The library or the control file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file that was asked for.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The library is no object file, or was built without pgrx's section.
    #[error("{} holds no SQL description ({reason}); build it with `cargo build -p pg_pitcrew`", path.display())]
    NoSection {
        /// The shared object.
        path: PathBuf,
        /// What was wrong with it.
        reason: String,
    },
    /// The description was found, but no script could be made from it.
    #[error("cannot make the install script from {}: {reason}", path.display())]
    Graph {
        /// The file at fault: the control file or the shared object.
        path: PathBuf,
        /// What pgrx said.
        reason: String,
    },
}

/// Returns the install script (`NAME--VERSION.sql`) of the extension compiled into `so` and described by `control`.
///
/// The `-- file.rs:LINE` comments that pgrx writes are left out, so that the text changes only when SQL changes and
/// can be compared with a committed copy.
///
/// # Errors
/// [`InstallSqlError`] when a file cannot be read, the library carries no pgrx section, or its parts do not fit
/// together (a cycle, a name that is not declared).
pub fn install_sql(so: &Path, control: &Path) -> Result<String, InstallSqlError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| InstallSqlError::Read {
            path: path.to_owned(),
            source,
        })
    };
    let graph = |path: &Path, reason: String| InstallSqlError::Graph {
        path: path.to_owned(),
        reason,
    };
    let no_section = |reason: String| InstallSqlError::NoSection {
        path: so.to_owned(),
        reason,
    };

    let control_text = String::from_utf8_lossy(&read(control)?).into_owned();
    let control_file =
        ControlFile::from_str(&control_text).map_err(|e| graph(control, e.to_string()))?;
    let extension = control
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();

    let bytes = read(so)?;
    let object = object::File::parse(bytes.as_slice()).map_err(|e| no_section(e.to_string()))?;
    let section = object
        .section_by_name(ELF_SECTION_NAME)
        .or_else(|| object.section_by_name(MACHO_SECTION_NAME))
        .ok_or_else(|| no_section(format!("no section {ELF_SECTION_NAME}")))?;
    let section = section.data().map_err(|e| no_section(e.to_string()))?;

    let mut entities = decode_entities(section).map_err(|e| no_section(format!("{e:#}")))?;
    entities.push(SqlGraphEntity::ExtensionRoot(control_file));
    let sql = PgrxSql::build(entities.into_iter(), extension, false)
        .and_then(|sql| sql.to_sql())
        .map_err(|e| graph(so, format!("{e:#}")))?;
    Ok(without_positions(&sql))
}

/// Drops the comment lines that name a Rust file and a line in it.
fn without_positions(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    for line in sql.lines() {
        let is_position = line.trim_start().strip_prefix("-- ").is_some_and(|rest| {
            rest.rsplit_once(':').is_some_and(|(file, number)| {
                file.ends_with(".rs")
                    && !number.is_empty()
                    && number.bytes().all(|b| b.is_ascii_digit())
            })
        });
        if !is_position {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::without_positions;

    #[test]
    fn position_comments_are_dropped_and_others_stay() {
        let sql = "-- pg_extension/src/lib.rs:12\n-- pg_pitcrew::version\nSELECT 1; -- a.rs:1\n";
        assert_eq!(
            without_positions(sql),
            "-- pg_pitcrew::version\nSELECT 1; -- a.rs:1\n"
        );
    }
}

//! `pitcrew.disk_space()`, and how much room there is where the server keeps its data.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use pgrx::prelude::*;

use crate::failure::spi;
use crate::text::{Text, plain};

/// A file system as `statvfs` tells it, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Space {
    total: u64,
    /// What an unprivileged process may still write.
    pub(crate) free: u64,
}

/// `None` where it cannot be seen.
pub(crate) fn space_of(directory: &Path) -> Option<Space> {
    let name = CString::new(directory.as_os_str().as_bytes()).ok()?;
    // SAFETY: statvfs reads a string that ends with NUL and fills the struct.
    unsafe {
        let mut stat: libc::statvfs = std::mem::zeroed();
        if libc::statvfs(name.as_ptr(), &raw mut stat) != 0 {
            return None;
        }
        Some(Space {
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }
}

/// Where the data directory is.
pub(crate) fn data_directory() -> PathBuf {
    // SAFETY: DataDir is set in every process of the server.
    let name = unsafe { CStr::from_ptr(pg_sys::DataDir) };
    PathBuf::from(std::ffi::OsStr::from_bytes(name.to_bytes()))
}

/// A row a file system that the server writes to.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.disk_space() RETURNS TABLE (directory text, total_bytes bigint, free_bytes bigint)
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'disk_space_wrapper';
COMMENT ON FUNCTION pitcrew.disk_space() IS
    'Size and free space of each file system that holds the data directory, the WAL or a tablespace, in bytes; several of them on one file system are one row. What cannot be seen has no row.';
"#)]
fn disk_space() -> TableIterator<
    'static,
    (
        name!(directory, Text),
        name!(total_bytes, i64),
        name!(free_bytes, i64),
    ),
> {
    let data = data_directory();
    let mut places = vec![
        ("data directory".to_owned(), data.clone()),
        ("WAL directory".to_owned(), data.join("pg_wal")),
    ];
    places.extend(
        tablespaces().map(|(oid, name)| (name, data.join("pg_tblspc").join(oid.to_string()))),
    );
    let mut rows: Vec<(u64, (String, i64, i64))> = Vec::new();
    for (name, path) in places {
        let (Ok(file), Some(space)) = (std::fs::metadata(&path), space_of(&path)) else {
            continue;
        };
        match rows.iter_mut().find(|(device, _)| *device == file.dev()) {
            Some((_, row)) => row.0 = format!("{}, {name}", row.0),
            None => rows.push((
                file.dev(),
                (
                    name,
                    space.total.try_into().unwrap_or(i64::MAX),
                    space.free.try_into().unwrap_or(i64::MAX),
                ),
            )),
        }
    }
    TableIterator::new(
        rows.into_iter()
            .map(|(_, (directory, total, free))| (directory.into(), total, free)),
    )
}

/// OID and what to call it, of tablespaces that have a directory of their own.
fn tablespaces() -> impl Iterator<Item = (u32, String)> {
    let query = "SELECT oid, 'tablespace ' || quote_ident(spcname) FROM pg_tablespace \
                 WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY spcname LIMIT 1000";
    let found: Vec<_> = Spi::connect(|client| {
        let table = spi("the tablespaces", client.select(query, None, &[]));
        table
            .filter_map(|row| {
                let oid: Option<pg_sys::Oid> = spi("the tablespaces", row.get(1));
                let name = plain(spi("the tablespaces", row.get(2)));
                Some((oid?.to_u32(), name?))
            })
            .collect()
    });
    found.into_iter()
}

//! The audit in a file: a line of JSON an entry. When it is full it becomes `NAME.1`, in the place of the one before.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use super::entry::Entry;

/// A file that has grown beyond this is set aside: so two of these are the most that the audit takes.
pub(crate) const MAX_BYTES: u64 = 8 << 20;

/// An open file and how far it has grown.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Log {
    /// Opens or makes it, readable for its owner alone.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = opened(path)?;
        let bytes = file.metadata()?.len();
        let path = path.to_owned();
        Ok(Self { path, file, bytes })
    }

    pub(crate) fn append(&mut self, entry: &Entry) -> io::Result<()> {
        if !self.is_there()? {
            // Somebody has put another in its place, or none: what is written goes where it is looked for.
            *self = Self::open(&self.path)?;
        }
        if self.bytes >= MAX_BYTES {
            std::fs::rename(&self.path, aside(&self.path))?;
            self.file = opened(&self.path)?;
            self.bytes = 0;
        }
        let mut line = serde_json::to_string(entry)?;
        line.push('\n');
        self.file.write_all(line.as_bytes())?;
        self.bytes += line.len() as u64;
        Ok(())
    }
}

impl Log {
    /// Whether what is open is what the path names.
    fn is_there(&self) -> io::Result<bool> {
        let named = match std::fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            named => named?,
        };
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let open = self.file.metadata()?;
            Ok((open.dev(), open.ino()) == (named.dev(), named.ino()))
        }
        #[cfg(not(unix))]
        {
            let _ = named;
            Ok(true)
        }
    }
}

/// Whether one was set aside: then the file that is written does not begin with the first entry.
pub(crate) fn is_set_aside(path: &Path) -> bool {
    aside(path).exists()
}

fn opened(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn aside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".1");
    name.into()
}

/// All entries of the file that was set aside and of the one that is written, the oldest first; and how many lines are none.
pub(crate) fn read(path: &Path) -> io::Result<(Vec<Entry>, u64)> {
    let (mut entries, mut odd) = (Vec::new(), 0);
    for path in [aside(path), path.to_owned()] {
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        // Ours is never larger; what is put in its place may be.
        for line in BufReader::new(file.take(2 * MAX_BYTES)).split(b'\n') {
            match serde_json::from_slice(&line?) {
                Ok(entry) => entries.push(entry),
                Err(_) => odd += 1,
            }
        }
    }
    Ok((entries, odd))
}

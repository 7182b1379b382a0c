//! Where servers live: one short folder a user and checkout below the temporary directory, in it prepared server trees
//! and numbered slots. A slot belongs to one process for as long as that process holds the slot's lock.
//!
//! The lock is `flock`: the kernel releases it when its process dies, SIGKILL included, although the servers may live on.
//! So a slot whose lock is free is stale, and whoever takes it first ends what still runs in it (see [`crate::process`]).

use std::fs::{self, DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::account::Account;
use crate::error::{Error, Result};
use crate::process;

/// Slots looked at before giving up: as many stacks and test processes may live side by side in one checkout.
const MAX_SLOTS: u32 = 256;

/// A socket's path must stay below 108 bytes (`sun_path`, unix(7)); what is added to this folder takes up to 45.
const MAX_BASE_BYTES: usize = 60;

/// The folder of one user and checkout.
#[derive(Clone, Debug)]
pub struct Place {
    base: PathBuf,
    account: Account,
}

impl Place {
    /// Opens, or makes, the folder for `checkout` (any path that names it; it need not exist).
    ///
    /// # Errors
    /// [`Error::NotOurs`] where somebody else made it first, [`Error::Io`] where it cannot be made.
    pub fn open(checkout: &Path) -> Result<Self> {
        let account = Account::for_servers()?;
        let temporary =
            std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        let name = format!(
            "pitcrew-{}-{:08x}",
            process::uid(),
            fnv1a(checkout.as_os_str().as_encoded_bytes())
        );
        let mut base = temporary.join(&name);
        if base.as_os_str().len() > MAX_BASE_BYTES {
            base = Path::new("/tmp").join(&name);
        }
        match DirBuilder::new().mode(0o711).create(&base) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io("make", &base)(error)),
        }
        // In a world-writable folder anybody may have made that name before us, as a link even.
        let found = fs::symlink_metadata(&base).map_err(Error::io("look at", &base))?;
        if !found.is_dir() || found.uid() != process::uid() || found.mode() & 0o022 != 0 {
            return Err(Error::NotOurs { path: base });
        }
        // A strict umask would lock the unprivileged server user out.
        set_mode(&base, 0o711)?;
        Ok(Self { base, account })
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.base
    }

    /// As whom servers run.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Takes the lock under which trees are prepared; waits for other processes of this checkout.
    ///
    /// # Errors
    /// [`Error::Io`] where the lock file cannot be made.
    pub fn preparing(&self) -> Result<File> {
        let path = self.base.join("preparing.lock");
        let file = open_lock(&path)?;
        file.lock().map_err(Error::io("lock", &path))?;
        Ok(file)
    }

    /// Takes a free slot, after ending whatever a dead process left in it.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Start`] where all slots are taken.
    pub fn slot(&self) -> Result<Slot> {
        for number in 0..MAX_SLOTS {
            let lock_path = self.base.join(format!("{number}.lock"));
            let lock = open_lock(&lock_path)?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => {
                    return Err(Error::io("lock", &lock_path)(error));
                }
            }
            let dir = self.base.join(number.to_string());
            self.clear(&dir)?;
            DirBuilder::new()
                .mode(0o711)
                .create(&dir)
                .map_err(Error::io("make", &dir))?;
            set_mode(&dir, 0o711)?;
            return Ok(Slot {
                dir,
                place: self.clone(),
                next: Mutex::new(0),
                lock: Some(lock),
            });
        }
        Err(Error::Start {
            server: "a slot".into(),
            reason: format!("{MAX_SLOTS} stacks of this checkout are alive; end some"),
            log: String::new(),
        })
    }

    /// Ends and removes what dead processes left in any slot; answers how many servers were ended.
    ///
    /// # Errors
    /// [`Error::Io`] where a folder cannot be read or removed.
    pub fn sweep(&self) -> Result<usize> {
        let mut ended = 0;
        for number in 0..MAX_SLOTS {
            let lock_path = self.base.join(format!("{number}.lock"));
            if !lock_path.exists() {
                continue;
            }
            let lock = open_lock(&lock_path)?;
            if lock.try_lock().is_ok() {
                ended += self.clear(&self.base.join(number.to_string()))?;
            }
        }
        Ok(ended)
    }

    /// Ends the servers that run in `dir` and removes it. The caller holds the slot's lock.
    fn clear(&self, dir: &Path) -> Result<usize> {
        let ended = process::end_all_in(&self.base, dir);
        match fs::remove_dir_all(dir) {
            Ok(()) => Ok(ended),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(ended),
            Err(error) => Err(Error::io("remove", dir)(error)),
        }
    }
}

/// A numbered folder that this process owns; removed, with the servers in it, when dropped.
#[derive(Debug)]
pub struct Slot {
    dir: PathBuf,
    place: Place,
    next: Mutex<u32>,
    lock: Option<File>,
}

impl Slot {
    /// The slot of this process: made at the first call, shared while somebody holds it.
    ///
    /// # Errors
    /// Those of [`Place::slot`].
    pub fn of_this_process(place: &Place) -> Result<Arc<Self>> {
        static SHARED: Mutex<Vec<(PathBuf, Weak<Slot>)>> = Mutex::new(Vec::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.retain(|(_, slot)| slot.strong_count() > 0);
        if let Some(slot) = shared
            .iter()
            .find(|(base, _)| base == place.path())
            .and_then(|(_, slot)| slot.upgrade())
        {
            return Ok(slot);
        }
        let slot = Arc::new(place.slot()?);
        shared.push((place.path().to_path_buf(), Arc::downgrade(&slot)));
        Ok(slot)
    }

    /// The slot's folder, mode 0711.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The place that the slot belongs to.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Makes a fresh folder of mode 0700 in the slot, owned by the account that servers run as.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn folder(&self, prefix: &str) -> Result<PathBuf> {
        let number = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            *next += 1;
            *next
        };
        let path = self.dir.join(format!("{prefix}{number}"));
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(Error::io("make", &path))?;
        self.place.account.own(&path)?;
        Ok(path)
    }
}

impl Slot {
    /// Gives the slot up as a killed process would: the lock is released, servers and files stay for the next sweep.
    #[must_use]
    pub fn abandon(mut self) -> Option<File> {
        self.lock.take()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.lock.is_none() {
            return;
        }
        // Nothing to report to: what stays is swept by the next run.
        let _ = self.place.clear(&self.dir);
    }
}

/// The root of this checkout: where the workspace's manifest stands.
#[must_use]
pub fn checkout() -> PathBuf {
    std::env::var_os("PITCREW_ROOT").map_or_else(
        || {
            let here = Path::new(env!("CARGO_MANIFEST_DIR"));
            here.ancestors().nth(2).unwrap_or(here).to_path_buf()
        },
        PathBuf::from,
    )
}

fn open_lock(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(Error::io("open", path))
}

pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(Error::io("set the mode of", path))
}

/// FNV-1a, 32 bits: a short name for a path. Two checkouts that collide share a place, which is safe.
pub(crate) fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

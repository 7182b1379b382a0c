//! jemalloc, by its own control interface (jemalloc(3), MALLCTL NAMESPACE).

use std::{ptr, time::Duration};

use thiserror::Error;
use tikv_jemalloc_ctl::{epoch, raw, stats, thread};

/// `MALLCTL_ARENAS_ALL`.
const ALL_ARENAS: usize = 4096;
/// Arenas whose decay is set one by one at most; jemalloc itself makes four a core.
const MAX_ARENAS: u32 = 4096;

pub(super) struct Stats {
    pub(super) allocated: u64,
    pub(super) resident: u64,
}

/// Whether Rust's allocations come from here.
pub(super) fn is_used() -> bool {
    let Ok(allocated) = thread::allocatedp::read() else {
        return false;
    };
    let before = allocated.get();
    drop(std::hint::black_box(Box::new(std::hint::black_box(
        [0_u8; 64],
    ))));
    allocated.get() != before
}

/// Some 12 us: jemalloc adds its arenas up.
pub(super) fn stats() -> Option<Stats> {
    epoch::advance().ok()?;
    Some(Stats {
        allocated: stats::allocated::read().ok()? as u64,
        resident: stats::resident::read().ok()? as u64,
    })
}

#[allow(unsafe_code)]
pub(super) fn purge() -> Result<(), String> {
    let name = format!("arena.{ALL_ARENAS}.purge\0");
    // SAFETY: the name ends with a zero, and this control takes and gives no value.
    let code = unsafe {
        tikv_jemalloc_sys::mallctl(
            name.as_ptr().cast(),
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            0,
        )
    };
    if code == 0 {
        Ok(())
    } else {
        Err(format!("mallctl answers {code}"))
    }
}

/// How long jemalloc keeps freed pages before it gives them back by itself.
///
/// `dirty` is the time to unused pages being given back lazily (jemalloc's own default 10 s), `muzzy` from there to their
/// being given back for good (0 s). `None` leaves a setting, [`Duration::ZERO`] gives back at once. See `TUNING.md` of
/// jemalloc.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JemallocDecay {
    /// `dirty_decay_ms`, at most [`i32::MAX`] milliseconds.
    pub dirty: Option<Duration>,
    /// `muzzy_decay_ms`, at most [`i32::MAX`] milliseconds.
    pub muzzy: Option<Duration>,
    /// Whether jemalloc has threads of its own that give back; else it happens as the app frees.
    pub background_thread: Option<bool>,
}

/// Why jemalloc was not tuned.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JemallocError {
    /// Another allocator serves this process.
    #[error(
        "jemalloc is linked but does not serve this process: make it the #[global_allocator] (crate tikv-jemallocator), \
         inside of CountingAlloc or bare"
    )]
    NotUsed,
    /// jemalloc refused a setting.
    #[error("jemalloc refuses {setting}: {reason}")]
    #[allow(missing_docs)]
    Refused { setting: String, reason: String },
}

/// Sets it for every arena there is, and for those that come.
#[allow(unsafe_code)]
pub(in crate::memory) fn set_decay(decay: JemallocDecay) -> Result<(), JemallocError> {
    if !is_used() {
        return Err(JemallocError::NotUsed);
    }
    for (name, value) in [("dirty", decay.dirty), ("muzzy", decay.muzzy)] {
        let Some(value) = value else { continue };
        let ms = i32::try_from(value.as_millis()).unwrap_or(i32::MAX) as isize;
        let set = |setting: String| {
            let text = format!("{setting}\0");
            // SAFETY: this control takes an ssize_t.
            unsafe { raw::write(text.as_bytes(), ms) }.map_err(|error| refused(setting, &error))
        };
        set(format!("arenas.{name}_decay_ms"))?;
        // SAFETY: this control gives an unsigned.
        let arenas: u32 = unsafe { raw::read(b"arenas.narenas\0") }
            .map_err(|error| refused("arenas.narenas".to_owned(), &error))?;
        for arena in 0..arenas.min(MAX_ARENAS) {
            // Arenas that are not in use yet cannot be set; they begin with what was set above.
            let _ = set(format!("arena.{arena}.{name}_decay_ms"));
        }
    }
    if let Some(wanted) = decay.background_thread {
        tikv_jemalloc_ctl::background_thread::write(wanted)
            .map_err(|error| refused("background_thread".to_owned(), &error))?;
    }
    Ok(())
}

fn refused(setting: String, error: &tikv_jemalloc_ctl::Error) -> JemallocError {
    JemallocError::Refused {
        setting,
        reason: error.to_string(),
    }
}

//! Ctrl-C and SIGTERM, so that servers are ended in order.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};

static ARRIVED: AtomicBool = AtomicBool::new(false);
static WRITE_END: AtomicI32 = AtomicI32::new(-1);

/// Watches for SIGINT, SIGTERM and SIGHUP from now on: they no longer end this process by themselves.
#[derive(Debug)]
pub struct Signals {
    read_end: libc::c_int,
}

impl Signals {
    /// Installs the handlers; once a process.
    ///
    /// # Errors
    /// [`Error::Program`] where the kernel refuses.
    pub fn install() -> Result<Self> {
        let fault = || Error::Program {
            program: "signal handling".into(),
            detail: std::io::Error::last_os_error().to_string(),
        };
        let mut ends = [0; 2];
        // SAFETY: `ends` has room for the two descriptors; the handler only stores a flag and calls write, both async-signal-safe.
        unsafe {
            if libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) != 0 {
                return Err(fault());
            }
            WRITE_END.store(ends[1], Ordering::SeqCst);
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_signal as extern "C" fn(libc::c_int) as libc::sighandler_t;
            action.sa_flags = libc::SA_RESTART;
            for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
                if libc::sigaction(signal, &raw const action, std::ptr::null_mut()) != 0 {
                    return Err(fault());
                }
            }
        }
        Ok(Self { read_end: ends[0] })
    }

    /// Whether a signal arrived.
    #[must_use]
    pub fn arrived(&self) -> bool {
        ARRIVED.load(Ordering::SeqCst)
    }

    /// `Err(Interrupted)` once a signal arrived.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn check(&self) -> Result<()> {
        if self.arrived() {
            Err(Error::Interrupted)
        } else {
            Ok(())
        }
    }

    /// Sleeps until a signal arrives, or `limit` is over.
    pub fn wait(&self, limit: Option<Duration>) {
        let limit = limit.map_or(-1, |limit| {
            libc::c_int::try_from(limit.as_millis()).unwrap_or(libc::c_int::MAX)
        });
        let mut poll = libc::pollfd {
            fd: self.read_end,
            events: libc::POLLIN,
            revents: 0,
        };
        // A byte stays in the pipe, so a signal that came before this call ends it at once.
        if !self.arrived() {
            // SAFETY: one valid pollfd for the length of the call.
            unsafe { libc::poll(&raw mut poll, 1, limit) };
        }
    }
}

extern "C" fn on_signal(_: libc::c_int) {
    ARRIVED.store(true, Ordering::SeqCst);
    let fd = WRITE_END.load(Ordering::SeqCst);
    // SAFETY: write is async-signal-safe; the pipe does not block, and a full one already says what has to be said.
    unsafe { libc::write(fd, [0_u8].as_ptr().cast(), 1) };
}

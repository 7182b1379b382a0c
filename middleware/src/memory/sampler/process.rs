//! Figures of this process, from `/proc/self` and getrusage(2).

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    super::snapshot::ProcessMemory,
    parse::{self, Reason},
};

/// Samples between two counts of open files where the kernel makes us count them one by one (before Linux 6.2).
const COUNT_FILES_EVERY: u32 = 10;
/// Open files that are counted one by one at most.
const MAX_COUNTED_FILES: usize = 65_536;

pub(super) struct Process {
    proc: PathBuf,
    page_bytes: u64,
    statm: Option<File>,
    /// Monotonic time and CPU time of the reading before.
    cpu_before: Option<(Duration, Duration)>,
    peak: u64,
    counted_files: Option<(u32, Result<u64, Reason>)>,
}

impl Process {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            proc: root.join("proc/self"),
            page_bytes: page_bytes(),
            statm: None,
            cpu_before: None,
            peak: 0,
            counted_files: None,
        }
    }

    /// `now` is monotonic time, for the CPU share.
    pub(super) fn read(
        &mut self,
        now: Duration,
        unknown: &mut impl FnMut(&'static str, Reason),
    ) -> ProcessMemory {
        let mut known =
            |figure, read: Result<u64, Reason>| read.map_err(|reason| unknown(figure, reason)).ok();
        let sizes = self.sizes();
        let rss_bytes = known("process.rss_bytes", sizes.map(|sizes| sizes.1));
        let status =
            fs::read(self.proc.join("status")).map_err(|_| "/proc/self/status cannot be read");
        let field = |name| {
            let status = status.as_ref().map_err(|reason| *reason)?;
            parse::status_field(status, name)
        };
        let high_water = field("VmHWM:").unwrap_or(0);
        self.peak = self.peak.max(rss_bytes.unwrap_or(0)).max(high_water);
        let peak = Some(self.peak).filter(|peak| *peak > 0);
        let open_files = self.open_files();
        let cpu = self.cpu_percent(now);
        let process = ProcessMemory {
            rss_bytes,
            peak_rss_bytes: known("process.peak_rss_bytes", peak.ok_or("nothing was read yet")),
            virtual_bytes: known("process.virtual_bytes", sizes.map(|sizes| sizes.0)),
            swap_bytes: known("process.swap_bytes", field("VmSwap:")),
            threads: known("process.threads", field("Threads:")),
            open_files: known("process.open_files", open_files),
            cpu_percent: *cpu.as_ref().ok().unwrap_or(&None),
        };
        if let Err(reason) = cpu {
            unknown("process.cpu_percent", reason);
        }
        process
    }

    /// Virtual and resident size.
    fn sizes(&mut self) -> Result<(u64, u64), Reason> {
        let mut buffer = [0_u8; 128];
        let length = self.read_statm(&mut buffer)?;
        let (total, resident) = parse::statm(&buffer[..length])?;
        Ok((
            parse::pages(total, self.page_bytes)?,
            parse::pages(resident, self.page_bytes)?,
        ))
    }

    /// Resident set size alone: one system call on a file that stays open.
    #[cfg(target_os = "linux")]
    pub(super) fn rss(&mut self) -> Result<u64, Reason> {
        self.sizes().map(|sizes| sizes.1)
    }

    fn read_statm(&mut self, buffer: &mut [u8]) -> Result<usize, Reason> {
        const REASON: Reason = "/proc/self/statm cannot be read";
        if self.statm.is_none() {
            self.statm = File::open(self.proc.join("statm")).ok();
        }
        let file = self.statm.as_ref().ok_or(REASON)?;
        read_at_start(file, buffer).map_err(|_| {
            // Opened anew the next time.
            self.statm = None;
            REASON
        })
    }

    fn open_files(&mut self) -> Result<u64, Reason> {
        const REASON: Reason = "/proc/self/fd cannot be read";
        let dir = self.proc.join("fd");
        // Since Linux 6.2 the folder's size is their number.
        let size = fs::metadata(&dir).map_err(|_| REASON)?.len();
        if size > 0 && cfg!(target_os = "linux") && dir.starts_with("/proc") {
            return Ok(size);
        }
        if let Some((left, counted)) = &mut self.counted_files
            && *left > 0
        {
            *left -= 1;
            return *counted;
        }
        let entries = fs::read_dir(&dir).map_err(|_| REASON)?;
        let count = entries.take(MAX_COUNTED_FILES + 1).count();
        let counted = if count > MAX_COUNTED_FILES {
            Err("there are more than are counted")
        } else {
            // The folder itself is open while it is read.
            Ok((count as u64).saturating_sub(1))
        };
        self.counted_files = Some((COUNT_FILES_EVERY, counted));
        counted
    }

    /// Share of one core since the reading before; `None` at the first.
    fn cpu_percent(&mut self, now: Duration) -> Result<Option<f64>, Reason> {
        let used = cpu_time().ok_or("getrusage fails")?;
        let Some((then, used_then)) = self.cpu_before.replace((now, used)) else {
            return Ok(None);
        };
        let wall = now.saturating_sub(then).as_secs_f64();
        let spent = used.saturating_sub(used_then).as_secs_f64();
        Ok((wall > 0.0).then(|| spent / wall * 100.0))
    }
}

#[cfg(unix)]
fn read_at_start(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, 0)
}

#[cfg(not(unix))]
fn read_at_start(_: &File, _: &mut [u8]) -> io::Result<usize> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

#[cfg(unix)]
#[allow(unsafe_code)]
fn page_bytes() -> u64 {
    // SAFETY: sysconf takes no pointer.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

#[cfg(not(unix))]
fn page_bytes() -> u64 {
    4096
}

/// User and system time of the process.
#[cfg(unix)]
#[allow(unsafe_code)]
pub(super) fn cpu_time() -> Option<Duration> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage fills the struct that it is given; all-zero is a valid `rusage`.
    let usage = unsafe {
        if libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) != 0 {
            return None;
        }
        usage.assume_init()
    };
    let time = |t: libc::timeval| {
        Duration::from_secs(u64::try_from(t.tv_sec).unwrap_or(0))
            + Duration::from_micros(u64::try_from(t.tv_usec).unwrap_or(0))
    };
    Some(time(usage.ru_utime) + time(usage.ru_stime))
}

#[cfg(not(unix))]
pub(super) fn cpu_time() -> Option<Duration> {
    None
}

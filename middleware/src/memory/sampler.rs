//! Where the figures come from: `/proc/self/statm` kept open, `/proc/self/stat`, the cgroup files, and `sysinfo` for
//! the machine.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io,
    time::Duration,
};

use sysinfo::{MemoryRefreshKind, System};

use super::snapshot::{CgroupMemory, ProcessMemory, SystemMemory, TrendPoint};

/// Reads the figures. Owned by whoever samples; one reading at a time.
pub(super) struct Sampler {
    statm: Option<File>,
    page_bytes: u64,
    system: Option<System>,
    cgroup: Option<CgroupFiles>,
    /// Monotonic time and CPU time of the reading before.
    cpu_before: Option<(Duration, Duration)>,
    peak: u64,
}

/// One reading.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    pub(super) process: ProcessMemory,
    pub(super) system: SystemMemory,
    pub(super) cgroup: Option<CgroupMemory>,
}

impl Sampler {
    pub(super) fn new() -> Self {
        Self {
            statm: File::open("/proc/self/statm").ok(),
            page_bytes: page_bytes(),
            system: System::new().ok(),
            cgroup: CgroupFiles::find(),
            cpu_before: None,
            peak: 0,
        }
    }

    /// `now` is monotonic time, for the CPU share.
    ///
    /// # Errors
    ///
    /// Where the platform does not tell the resident set size.
    pub(super) fn sample(&mut self, now: Duration) -> io::Result<Sample> {
        let (virtual_pages, rss_pages) = self.statm()?;
        let rss_bytes = rss_pages * self.page_bytes;
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        self.peak = self
            .peak
            .max(rss_bytes)
            .max(status_field(&status, "VmHWM:").unwrap_or(0) * 1024);
        let process = ProcessMemory {
            rss_bytes,
            peak_rss_bytes: self.peak,
            virtual_bytes: virtual_pages * self.page_bytes,
            threads: status_field(&status, "Threads:").unwrap_or(0),
            cpu_percent: self.cpu_percent(now),
        };
        let system = self
            .system
            .as_mut()
            .map_or_else(SystemMemory::default, |system| {
                system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
                SystemMemory {
                    total_bytes: system.total_memory(),
                    available_bytes: system.available_memory(),
                }
            });
        Ok(Sample {
            process,
            system,
            cgroup: self.cgroup.as_ref().and_then(CgroupFiles::read),
        })
    }

    fn statm(&mut self) -> io::Result<(u64, u64)> {
        let file = self
            .statm
            .as_mut()
            .ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
        let mut buffer = [0_u8; 128];
        let length = read_at_start(file, &mut buffer)?;
        let text = std::str::from_utf8(&buffer[..length]).unwrap_or_default();
        let mut fields = text.split_ascii_whitespace().map(str::parse::<u64>);
        match (fields.next(), fields.next()) {
            (Some(Ok(size)), Some(Ok(resident))) => Ok((size, resident)),
            _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
        }
    }

    /// Share of one core since the reading before; 0 at the first.
    fn cpu_percent(&mut self, now: Duration) -> f64 {
        let Some(used) = cpu_time() else { return 0.0 };
        let before = self.cpu_before.replace((now, used));
        let Some((then, used_then)) = before else {
            return 0.0;
        };
        let wall = now.saturating_sub(then).as_secs_f64();
        if wall <= 0.0 {
            0.0
        } else {
            used.saturating_sub(used_then).as_secs_f64() / wall * 100.0
        }
    }
}

/// Resident set size now, 0 where the platform does not tell.
pub(super) fn rss_now() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split_ascii_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok())
        .unwrap_or(0)
        * page_bytes()
}

#[cfg(unix)]
fn read_at_start(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, 0)
}

#[cfg(not(unix))]
fn read_at_start(_: &mut File, _: &mut [u8]) -> io::Result<usize> {
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
fn cpu_time() -> Option<Duration> {
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
fn cpu_time() -> Option<Duration> {
    None
}

/// The number after `name` in `/proc/self/status`.
fn status_field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The two files of the control group that holds this process.
struct CgroupFiles {
    limit: String,
    usage: String,
}

impl CgroupFiles {
    /// v2 first (`0::/path`), then the v1 memory controller; in a container the path as the host sees it may not
    /// exist, there the mount's root is our group.
    fn find() -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let mut candidates = Vec::new();
        for line in groups.lines() {
            let mut fields = line.splitn(3, ':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            if controllers.is_empty() {
                for at in [path, ""] {
                    let base = format!("/sys/fs/cgroup{}", at.trim_end_matches('/'));
                    candidates.push((
                        format!("{base}/memory.max"),
                        format!("{base}/memory.current"),
                    ));
                }
            } else if controllers.split(',').any(|name| name == "memory") {
                for at in [path, ""] {
                    let base = format!("/sys/fs/cgroup/memory{}", at.trim_end_matches('/'));
                    let limit = format!("{base}/memory.limit_in_bytes");
                    candidates.push((limit, format!("{base}/memory.usage_in_bytes")));
                }
            }
        }
        let files = candidates
            .into_iter()
            .map(|(limit, usage)| Self { limit, usage });
        files.into_iter().find(|files| files.read().is_some())
    }

    fn read(&self) -> Option<CgroupMemory> {
        let usage_bytes = fs::read_to_string(&self.usage).ok()?.trim().parse().ok()?;
        let limit_bytes = parse_limit(&fs::read_to_string(&self.limit).ok()?);
        Some(CgroupMemory {
            limit_bytes,
            usage_bytes,
        })
    }
}

/// v2 writes `max` for no limit, v1 the largest page-aligned `i64`; either is no limit.
fn parse_limit(text: &str) -> Option<u64> {
    const V1_UNLIMITED_FROM: u64 = 1 << 62;
    text.trim()
        .parse()
        .ok()
        .filter(|limit| *limit < V1_UNLIMITED_FROM)
}

/// Past samples under one bound: when it is full every other point goes, and points are kept half as often.
pub(super) struct Trend {
    points: VecDeque<TrendPoint>,
    bound: usize,
    /// Keep one sample in so many.
    stride: u64,
    seen: u64,
}

impl Trend {
    pub(super) fn new(bound: usize) -> Self {
        Self {
            points: VecDeque::new(),
            bound,
            stride: 1,
            seen: 0,
        }
    }

    pub(super) fn push(&mut self, point: TrendPoint) {
        let keep = self.seen.is_multiple_of(self.stride);
        self.seen += 1;
        if !keep {
            return;
        }
        if self.points.len() >= self.bound {
            let mut index = 0;
            self.points.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.stride = self.stride.saturating_mul(2);
        }
        self.points.push_back(point);
    }

    pub(super) fn points(&self) -> Vec<TrendPoint> {
        self.points.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trend_stays_bounded_and_spans_the_whole_run() {
        let mut trend = Trend::new(100);
        for unix_ms in 0..100_000 {
            trend.push(TrendPoint {
                unix_ms,
                ..TrendPoint::default()
            });
        }
        let points = trend.points();
        assert!(points.len() <= 100, "{}", points.len());
        assert_eq!(points[0].unix_ms, 0);
        assert!(points[points.len() - 1].unix_ms > 95_000);
        assert!(
            points
                .windows(2)
                .all(|pair| pair[0].unix_ms < pair[1].unix_ms)
        );
    }

    #[test]
    fn an_unlimited_group_has_no_limit() {
        assert_eq!(parse_limit("max\n"), None);
        assert_eq!(parse_limit("9223372036854771712\n"), None);
        assert_eq!(parse_limit("1048576\n"), Some(1_048_576));
        assert_eq!(parse_limit("nonsense"), None);
    }

    #[test]
    fn a_sample_tells_this_process_and_this_machine() {
        let mut sampler = Sampler::new();
        let first = sampler.sample(Duration::from_secs(1)).unwrap();
        assert!(first.process.rss_bytes > 100_000);
        assert!(first.process.peak_rss_bytes >= first.process.rss_bytes);
        assert!(first.process.virtual_bytes >= first.process.rss_bytes);
        assert!(first.process.threads >= 1);
        assert!(first.system.total_bytes > first.process.rss_bytes);
        // Burn CPU until the kernel has charged some, so that no clock resolution is guessed at.
        let before = cpu_time().unwrap();
        while cpu_time().unwrap() < before + Duration::from_millis(20) {
            std::hint::black_box((0..1_000_u64).sum::<u64>());
        }
        assert!(
            sampler
                .sample(Duration::from_secs(2))
                .unwrap()
                .process
                .cpu_percent
                > 1.0
        );
    }
}

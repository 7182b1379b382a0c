//! Where the figures come from: `/proc/self` and the cgroup files, and `sysinfo` for the machine.

mod cgroup;
pub(super) mod parse;
#[cfg(not(target_os = "linux"))]
mod portable;
mod process;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, System};

use self::{cgroup::Cgroup, parse::Reason, process::Process};
use super::snapshot::{CgroupMemory, Pressure, ProcessMemory, SystemMemory, UnknownFigure};

/// Reads the figures. Owned by whoever samples; one reading at a time.
pub(super) struct Sampler {
    root: PathBuf,
    process: Process,
    system: Result<System, Reason>,
    /// When the machine's CPU was read last.
    cpu_read: Option<Duration>,
    cgroup: Result<Cgroup, Reason>,
}

/// One reading.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    pub(super) process: ProcessMemory,
    pub(super) system: SystemMemory,
    pub(super) cgroup: Option<CgroupMemory>,
    /// What could not be read, and why.
    pub(super) unknown: Vec<UnknownFigure>,
}

impl Sampler {
    /// Reads below `root`: `/`, but for tests.
    pub(super) fn new(root: &Path) -> Self {
        Self {
            process: Process::new(root),
            system: System::new().map_err(|_| "sysinfo does not know this system"),
            cpu_read: None,
            cgroup: Cgroup::find(root),
            root: root.to_path_buf(),
        }
    }

    /// `now` is monotonic time, for CPU shares.
    pub(super) fn sample(&mut self, now: Duration) -> Sample {
        let mut unknown = Vec::new();
        let mut note = |figure: &'static str, reason: Reason| {
            unknown.push(UnknownFigure {
                figure,
                reason: reason.to_owned(),
            });
        };
        #[cfg_attr(
            target_os = "linux",
            expect(unused_mut, reason = "filled in elsewhere")
        )]
        let mut process = self.process.read(now, &mut note);
        #[cfg(not(target_os = "linux"))]
        if let Ok(system) = &mut self.system {
            portable::fill(system, &mut process);
        }
        let system = self.system(now, &mut note);
        let cgroup = match &self.cgroup {
            Ok(cgroup) => cgroup.read(&mut note),
            Err(reason) => {
                note("cgroup", reason);
                None
            }
        };
        #[cfg(not(target_os = "linux"))]
        unknown.retain(|unknown| match unknown.figure {
            "process.rss_bytes" => process.rss_bytes.is_none(),
            "process.peak_rss_bytes" => process.peak_rss_bytes.is_none(),
            "process.virtual_bytes" => process.virtual_bytes.is_none(),
            _ => true,
        });
        Sample {
            process,
            system,
            cgroup,
            unknown,
        }
    }

    /// Resident set size now.
    #[cfg(target_os = "linux")]
    pub(super) fn rss(&mut self) -> Result<u64, Reason> {
        self.process.rss()
    }

    /// Resident set size now.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn rss(&mut self) -> Result<u64, Reason> {
        let mut process = ProcessMemory::default();
        portable::fill(
            self.system.as_mut().map_err(|reason| *reason)?,
            &mut process,
        );
        process.rss_bytes.ok_or("sysinfo tells none")
    }

    fn system(
        &mut self,
        now: Duration,
        note: &mut impl FnMut(&'static str, Reason),
    ) -> SystemMemory {
        let mut figures = SystemMemory {
            pressure: self.pressure(note),
            ..SystemMemory::default()
        };
        let system = match &mut self.system {
            Ok(system) => system,
            Err(reason) => {
                note("system", reason);
                return figures;
            }
        };
        system.refresh_memory_specifics(MemoryRefreshKind::everything());
        let total = system.total_memory();
        if total == 0 {
            note("system.total_bytes", "sysinfo tells none");
        } else {
            figures.total_bytes = Some(total);
            figures.available_bytes = Some(system.available_memory().min(total));
            figures.swap_total_bytes = Some(system.total_swap());
            figures.swap_used_bytes = Some(system.used_swap());
        }
        match self.cpu_read {
            // Shorter spans than sysinfo's own least say nothing.
            Some(then) if now.saturating_sub(then) < sysinfo::MINIMUM_CPU_UPDATE_INTERVAL => {}
            before => {
                system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_usage());
                self.cpu_read = Some(now);
                if before.is_none() {
                    return figures;
                }
            }
        }
        let share = f64::from(system.global_cpu_usage());
        if (0.0..=100.0).contains(&share) && !system.cpus().is_empty() {
            figures.cpu_percent = Some(share);
        } else {
            note("system.cpu_percent", "sysinfo tells none");
        }
        figures
    }

    fn pressure(&self, note: &mut impl FnMut(&'static str, Reason)) -> Option<Pressure> {
        fs::read(self.root.join("proc/pressure/memory"))
            .map_err(|_| "this kernel tells no pressure (CONFIG_PSI)")
            .and_then(|bytes| parse::pressure(&bytes))
            .map_err(|reason| note("system.pressure", reason))
            .ok()
    }
}

#[cfg(test)]
mod tests;

//! Figures of this process where there is no `/proc`: macOS and others, through `sysinfo`. **Untested**: no such machine is
//! part of the project's tests; what `sysinfo` does not tell is unknown.

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::super::snapshot::ProcessMemory;

pub(super) fn fill(system: &mut System, process: &mut ProcessMemory) {
    let pid = Pid::from_u32(std::process::id());
    system.refresh_processes_specifics(
        ProcessesToUpdate::Some(&[pid]),
        false,
        ProcessRefreshKind::nothing().with_memory(),
    );
    let Some(own) = system.process(pid) else {
        return;
    };
    let known = |bytes: u64| Some(bytes).filter(|bytes| *bytes > 0);
    process.rss_bytes = known(own.memory());
    process.virtual_bytes = known(own.virtual_memory());
    process.peak_rss_bytes = process.peak_rss_bytes.max(process.rss_bytes);
}

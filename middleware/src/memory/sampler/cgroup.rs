//! The control group that holds this process: v2 or v1, and the tightest limit up its hierarchy.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    super::snapshot::CgroupMemory,
    parse::{self, Reason},
};

/// Groups up the hierarchy that are looked at; deeper trees than this are not made by anybody.
const MAX_DEPTH: usize = 32;

/// What `memory.stat` may be off by: the kernel adds up 64 pages a core at a time (`MEMCG_CHARGE_BATCH`), here of 4 KiB on 128 cores.
const LATE_BYTES: u64 = 32 << 20;

/// The names of the files of one version.
struct Names {
    version: u8,
    limit: &'static str,
    usage: &'static str,
    /// Where `oom_kill` stands.
    events: &'static str,
    /// In `memory.stat`: file pages that the kernel would drop before it kills.
    inactive_file: &'static str,
}

const V2: Names = Names {
    version: 2,
    limit: "memory.max",
    usage: "memory.current",
    events: "memory.events",
    inactive_file: "inactive_file",
};

const V1: Names = Names {
    version: 1,
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    events: "memory.oom_control",
    inactive_file: "total_inactive_file",
};

/// Our group and those above it, the innermost first.
pub(super) struct Cgroup {
    names: &'static Names,
    chain: Vec<PathBuf>,
}

impl Cgroup {
    /// Looks for the group below `root` (`/`, but for tests). In a container the path as the host sees it may not exist;
    /// there the mount's root is our group.
    ///
    /// # Errors
    ///
    /// Why no group is known.
    pub(super) fn find(root: &Path) -> Result<Self, Reason> {
        let own = fs::read(root.join("proc/self/cgroup"))
            .map_err(|_| "/proc/self/cgroup cannot be read")?;
        let paths = parse::groups(&own);
        let mounts = root.join("sys/fs/cgroup");
        let candidates = [
            (&V2, mounts.clone(), &paths.unified),
            // v1 and v2 side by side.
            (&V2, mounts.join("unified"), &paths.unified),
            (&V1, mounts.join("memory"), &paths.memory),
        ];
        for (names, mount, path) in candidates {
            let Some(path) = path else { continue };
            for path in [path.as_str(), "/"] {
                let group = mount.join(path.trim_start_matches('/'));
                // The root group of v2 has no usage file: it is no limit either.
                if group.join(names.usage).exists() {
                    let above = group.ancestors().take_while(|dir| dir.starts_with(&mount));
                    let chain = above.take(MAX_DEPTH).map(Path::to_path_buf).collect();
                    return Ok(Self { names, chain });
                }
            }
        }
        Err("no control group with a memory controller is mounted at /sys/fs/cgroup")
    }

    /// Reads the figures, each by itself, and hands each that is not known to `unknown`.
    pub(super) fn read(
        &self,
        unknown: &mut impl FnMut(&'static str, Reason),
    ) -> Option<CgroupMemory> {
        let names = self.names;
        let own = self.chain.first()?;
        let usage = usage_of(own, names)
            .map_err(|reason| unknown("cgroup.usage_bytes", reason))
            .ok();
        let limit = self
            .limit()
            .map_err(|reason| unknown("cgroup.limit_bytes", reason));
        let working_set = match limit {
            // What counts against the limit is what its own group uses, and that may hold other processes.
            Ok(limit) => working_set(limit.map_or(own, |(_, dir)| dir), names),
            Err(()) => Err("which group's limit is the tightest is not known"),
        };
        let working_set = working_set
            .map_err(|reason| unknown("cgroup.working_set_bytes", reason))
            .ok();
        let oom_kills = read(&own.join(names.events))
            .and_then(|bytes| parse::keyed(&bytes, "oom_kill"))
            .map_err(|reason| unknown("cgroup.oom_kills", reason))
            .ok();
        Some(CgroupMemory {
            version: names.version,
            limit_bytes: limit.ok().flatten().map(|(limit, _)| limit),
            usage_bytes: usage,
            working_set_bytes: working_set,
            oom_kills,
        })
    }

    /// The tightest limit and the group that has it. One that cannot be read may be the tightest, so then none is known.
    fn limit(&self) -> Result<Option<(u64, &PathBuf)>, Reason> {
        let mut tightest: Option<(u64, &PathBuf)> = None;
        for dir in &self.chain {
            let file = dir.join(self.names.limit);
            match read(&file).and_then(|bytes| parse::limit(&bytes)) {
                Ok(Some(found)) if tightest.is_none_or(|(limit, _)| found < limit) => {
                    tightest = Some((found, dir));
                }
                Ok(_) => {}
                // v2's root has no such file.
                Err(UNREADABLE) if !file.exists() => {}
                Err(reason) => return Err(reason),
            }
        }
        Ok(tightest)
    }
}

/// Usage less file pages that the kernel would drop first. The two are read one after the other, and the kernel adds its counters up
/// late, so the second may be a little larger than the first.
fn working_set(dir: &Path, names: &Names) -> Result<u64, Reason> {
    let usage = usage_of(dir, names)?;
    let inactive = parse::keyed(&read(&dir.join("memory.stat"))?, names.inactive_file)?;
    if inactive > usage.saturating_add(usage / 8).saturating_add(LATE_BYTES) {
        return Err("more file pages are inactive than memory is used");
    }
    Ok(usage.saturating_sub(inactive))
}

const UNREADABLE: Reason = "the file cannot be read";

fn usage_of(dir: &Path, names: &Names) -> Result<u64, Reason> {
    parse::number(&read(&dir.join(names.usage))?)
}

fn read(path: &Path) -> Result<Vec<u8>, Reason> {
    fs::read(path).map_err(|_| UNREADABLE)
}

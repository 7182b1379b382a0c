use super::*;

/// A folder that stands for `/`, gone with the test.
struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Self {
        let dir =
            std::env::temp_dir().join(format!("pitcrew-memory-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn file(&self, path: &str, text: &str) -> &Self {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn sample(&self) -> Sample {
        Sampler::new(&self.0).sample(Duration::ZERO)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn reason<'a>(sample: &'a Sample, figure: &str) -> Option<&'a str> {
    let mut unknown = sample.unknown.iter();
    unknown
        .find(|unknown| unknown.figure == figure)
        .map(|unknown| unknown.reason.as_str())
}

#[test]
fn without_proc_every_figure_is_unknown_with_its_reason() {
    let sample = Root::new("none").sample();
    assert_eq!(sample.process.rss_bytes, None);
    assert_eq!(sample.process.open_files, None);
    assert_eq!(sample.cgroup, None);
    for figure in [
        "process.rss_bytes",
        "process.peak_rss_bytes",
        "process.virtual_bytes",
        "process.swap_bytes",
        "process.threads",
        "process.open_files",
        "system.pressure",
        "cgroup",
    ] {
        assert!(reason(&sample, figure).is_some(), "{figure}: {sample:?}");
    }
}

#[test]
fn v2_tells_the_tightest_limit_up_the_hierarchy() {
    let root = Root::new("v2");
    root.file("proc/self/cgroup", "0::/a/b\n");
    let group = "sys/fs/cgroup/a/b";
    root.file(&format!("{group}/memory.current"), "500\n")
        .file(&format!("{group}/memory.max"), "max\n")
        .file(
            &format!("{group}/memory.stat"),
            "anon 1\ninactive_file 100\n",
        )
        .file(&format!("{group}/memory.events"), "oom 9\noom_kill 2\n")
        .file("sys/fs/cgroup/a/memory.current", "900\n")
        .file("sys/fs/cgroup/a/memory.max", "1000\n")
        .file("sys/fs/cgroup/a/memory.stat", "inactive_file 250\n");
    let sample = root.sample();
    let cgroup = sample.cgroup.unwrap();
    assert_eq!((cgroup.version, cgroup.limit_bytes), (2, Some(1000)));
    assert_eq!((cgroup.usage_bytes, cgroup.oom_kills), (Some(500), Some(2)));
    assert_eq!(
        cgroup.working_set_bytes,
        Some(650),
        "of the group that is limited"
    );
    assert!(
        !sample
            .unknown
            .iter()
            .any(|unknown| unknown.figure.starts_with("cgroup"))
    );
}

#[test]
fn v1_is_read_where_v2_has_no_memory_controller() {
    let root = Root::new("v1");
    root.file("proc/self/cgroup", "4:memory:/x\n0::/\n");
    let group = "sys/fs/cgroup/memory/x";
    root.file(&format!("{group}/memory.usage_in_bytes"), "700\n")
        .file(&format!("{group}/memory.limit_in_bytes"), "800\n")
        .file(&format!("{group}/memory.stat"), "total_inactive_file 50\n")
        .file(
            &format!("{group}/memory.oom_control"),
            "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
        )
        .file("sys/fs/cgroup/memory/memory.usage_in_bytes", "9000\n")
        .file(
            "sys/fs/cgroup/memory/memory.limit_in_bytes",
            "9223372036854771712\n",
        );
    let cgroup = root.sample().cgroup.unwrap();
    assert_eq!((cgroup.version, cgroup.limit_bytes), (1, Some(800)));
    assert_eq!(cgroup.working_set_bytes, Some(650));
    assert_eq!(cgroup.oom_kills, Some(4));
}

#[test]
fn in_a_container_the_mounts_root_is_the_group() {
    let root = Root::new("container");
    root.file("proc/self/cgroup", "0::/kubepods/pod1/x\n")
        .file("sys/fs/cgroup/memory.current", "10\n")
        .file("sys/fs/cgroup/memory.max", "20\n");
    let sample = root.sample();
    assert_eq!(sample.cgroup.unwrap().limit_bytes, Some(20));
    assert!(reason(&sample, "cgroup.oom_kills").is_some());
}

#[test]
fn nonsense_in_the_files_is_unknown_and_no_number() {
    let root = Root::new("nonsense");
    root.file("proc/self/statm", "-1 huge")
        .file("proc/self/status", "Threads:\tmany\nVmSwap: 1 GB\n")
        .file("proc/pressure/memory", "some avg10=900.0")
        .file("proc/self/cgroup", "0::/a\n")
        .file("sys/fs/cgroup/a/memory.current", "12\n")
        .file("sys/fs/cgroup/a/memory.max", "lots\n")
        .file("sys/fs/cgroup/a/memory.events", "oom_kill minus\n");
    let sample = root.sample();
    assert_eq!(
        sample.process,
        ProcessMemory {
            open_files: sample.process.open_files,
            ..ProcessMemory::default()
        }
    );
    assert_eq!(sample.system.pressure, None);
    let cgroup = sample.cgroup.unwrap();
    assert_eq!((cgroup.limit_bytes, cgroup.oom_kills), (None, None));
    for figure in [
        "process.rss_bytes",
        "cgroup.limit_bytes",
        "cgroup.oom_kills",
    ] {
        assert!(reason(&sample, figure).is_some(), "{figure}: {sample:?}");
    }
    root.file("sys/fs/cgroup/a/memory.current", "junk")
        .file("sys/fs/cgroup/a/memory.max", "64\n")
        .file("sys/fs/cgroup/a/memory.events", "oom_kill 3\n");
    let sample = root.sample();
    let cgroup = sample.cgroup.unwrap();
    assert_eq!((cgroup.usage_bytes, cgroup.working_set_bytes), (None, None));
    assert_eq!((cgroup.limit_bytes, cgroup.oom_kills), (Some(64), Some(3)));
    for figure in ["cgroup.usage_bytes", "cgroup.working_set_bytes"] {
        assert!(reason(&sample, figure).is_some(), "{figure}: {sample:?}");
    }
}

#[test]
fn a_limit_that_cannot_be_read_makes_the_limit_unknown_whatever_stands_above() {
    let root = Root::new("chain");
    root.file("proc/self/cgroup", "0::/a\n")
        .file("sys/fs/cgroup/a/memory.current", "900\n")
        .file("sys/fs/cgroup/a/memory.max", "nonsense")
        .file("sys/fs/cgroup/a/memory.stat", "inactive_file 1\n")
        .file("sys/fs/cgroup/memory.current", "900\n")
        .file("sys/fs/cgroup/memory.stat", "inactive_file 1\n")
        .file("sys/fs/cgroup/memory.max", "64000000000\n");
    let sample = root.sample();
    let cgroup = sample.cgroup.unwrap();
    assert_eq!((cgroup.limit_bytes, cgroup.working_set_bytes), (None, None));
    assert_eq!(cgroup.usage_bytes, Some(900));
    for figure in ["cgroup.limit_bytes", "cgroup.working_set_bytes"] {
        assert!(reason(&sample, figure).is_some(), "{figure}: {sample:?}");
    }
}

#[test]
fn more_inactive_pages_than_are_used_are_nonsense_but_for_a_little() {
    let root = Root::new("inactive");
    root.file("proc/self/cgroup", "0::/a\n")
        .file("sys/fs/cgroup/a/memory.current", "900000000\n")
        .file("sys/fs/cgroup/a/memory.max", "max\n")
        .file(
            "sys/fs/cgroup/a/memory.stat",
            "inactive_file 99999999999999\n",
        );
    let sample = root.sample();
    assert_eq!(sample.cgroup.unwrap().working_set_bytes, None);
    let why = reason(&sample, "cgroup.working_set_bytes").unwrap();
    assert!(why.contains("more file pages"), "{why}");
    // Read a moment later, and added up late.
    root.file("sys/fs/cgroup/a/memory.stat", "inactive_file 901000000\n");
    assert_eq!(root.sample().cgroup.unwrap().working_set_bytes, Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn a_sample_tells_this_process_and_this_machine() {
    let mut sampler = Sampler::new(Path::new("/"));
    let first = sampler.sample(Duration::from_secs(1));
    let rss = first.process.rss_bytes.unwrap();
    assert!(rss > 100_000 && first.process.peak_rss_bytes.unwrap() >= rss);
    assert!(first.process.virtual_bytes.unwrap() >= rss);
    assert!(first.process.threads.unwrap() >= 1 && first.process.open_files.unwrap() >= 3);
    assert!(first.system.total_bytes.unwrap() > rss);
    assert_eq!(first.process.cpu_percent, None, "one reading has no span");
    let opened: Vec<_> = (0..50)
        .map(|_| fs::File::open("/proc/self/stat").unwrap())
        .collect();
    // Burn CPU until the kernel has charged some, so that no clock resolution is guessed at.
    let before = process::cpu_time().unwrap();
    while process::cpu_time().unwrap() < before + Duration::from_millis(20) {
        std::hint::black_box((0..1_000_u64).sum::<u64>());
    }
    let second = sampler.sample(Duration::from_secs(2));
    assert!(second.process.cpu_percent.unwrap() > 1.0);
    assert!(second.system.cpu_percent.is_some(), "{second:?}");
    if fs::metadata("/proc/self/fd").unwrap().len() > 0 {
        // Other tests of this process open and close files too.
        let more =
            second.process.open_files.unwrap() as i64 - first.process.open_files.unwrap() as i64;
        assert!(more > 30, "{more}");
    }
    drop(opened);
}

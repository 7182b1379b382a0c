//! `./pitcrew` itself, on a machine that is made of a few links and stand-ins: nothing real is installed or asked.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What the script may use of this machine.
const TOOLS: [&str; 22] = [
    "sh", "sed", "grep", "head", "tail", "cut", "tr", "cat", "dirname", "date", "mktemp", "rm",
    "mv", "cp", "mkdir", "chmod", "ln", "env", "touch", "printf", "ls", "uname",
];

/// A machine of this test's own.
struct Machine {
    root: PathBuf,
}

impl Machine {
    fn new(name: &str) -> Self {
        let root =
            std::env::temp_dir().join(format!("pitcrew-script-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let machine = Self { root };
        fs::create_dir_all(machine.bin()).unwrap();
        fs::create_dir_all(machine.system()).unwrap();
        for tool in TOOLS {
            if let Some(found) = ["/bin", "/usr/bin"]
                .iter()
                .map(|dir| Path::new(dir).join(tool))
                .find(|path| path.exists())
            {
                symlink(found, machine.bin().join(tool)).unwrap();
            }
        }
        machine
    }

    fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    fn system(&self) -> PathBuf {
        self.root.join("system")
    }

    fn policy(&self) -> PathBuf {
        self.system().join("usr/sbin/policy-rc.d")
    }

    /// A stand-in program.
    fn program(&self, path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, name: &str, text: &str) {
        self.program(&self.bin().join(name), text);
    }

    fn user(&self, id: u32) {
        self.command("id", &format!("echo {id}"));
    }

    /// apt that knows PostgreSQL 15, and runs `install` for an installation.
    fn apt(&self, install: &str) {
        self.command("apt-cache", "echo '  Depends: postgresql-15'");
        let log = self.root.join("apt.log");
        self.command(
            "apt-get",
            &format!(
                "echo \"$*\" >>{}\ncase \"$*\" in *' update'*) exit 0 ;; esac\n{install}",
                log.display()
            ),
        );
    }

    fn apt_log(&self) -> String {
        fs::read_to_string(self.root.join("apt.log")).unwrap_or_default()
    }

    /// What an installation brings.
    fn complete(&self) -> String {
        let (bin, system) = (self.bin(), self.system());
        let server = system.join("usr/lib/postgresql/15");
        let clang = system.join("usr/lib/llvm-14/lib");
        let program = |path: &Path, text: &str| {
            let path = path.display();
            format!("printf '#!/bin/sh\\n{text}\\n' >{path}; chmod 755 {path}\n")
        };
        let config = format!(
            "case $1 in --bindir) echo {0}/bin ;; --includedir-server) echo {0}/include ;; *) echo PostgreSQL 15.9 ;; esac",
            server.display()
        );
        [
            format!(
                "mkdir -p {0}/bin {0}/include {1}\ntouch {0}/include/postgres.h {1}/libclang.so\n",
                server.display(),
                clang.display()
            ),
            program(&server.join("bin/pg_config"), &config),
            program(&server.join("bin/postgres"), "exit 0"),
            program(&bin.join("cc"), "echo cc 12"),
            program(&bin.join("pkg-config"), "echo 1"),
            program(&bin.join("redis-server"), "echo Redis 7"),
            program(&bin.join("node"), "echo v18.1"),
            program(&bin.join("npm"), "echo 9.2"),
            program(&bin.join("promtool"), "echo promtool 2.42"),
        ]
        .concat()
    }

    /// A cargo that builds nothing, and a built program that says how it was called.
    fn cargo(&self) {
        self.command("cargo", "echo \"cargo $*\"");
        for profile in ["debug", "release"] {
            self.program(
                &self.root.join("target").join(profile).join("pitcrew-stack"),
                "echo \"ran $*\"",
            );
        }
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output: Output = Command::new("/bin/sh")
            .arg(pitcrew_stack::checkout().join("pitcrew"))
            .args(arguments)
            .env_clear()
            .env("PATH", self.bin())
            .env("PITCREW_SYSTEM_ROOT", self.system())
            .env("CARGO_TARGET_DIR", self.root.join("target"))
            .env("TMPDIR", &self.root)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .concat();
        (output.status.code().unwrap(), text)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_a_verb_does_not_take_is_refused_before_anything_is_installed_or_built() {
    let machine = Machine::new("arguments");
    for wrong in [
        &["demo", "--chek"][..],
        &["demo", "extra"],
        &["test", "--pg"],
        &["test", "one", "two"],
        &["bench", "--fast"],
        &["up", "--check"],
        &["install-extension", "--pg-config"],
        &["doctor", "--fix"],
    ] {
        let (code, said) = machine.run(wrong);
        assert_eq!(code, 2, "{wrong:?}: {said}");
        // This machine has no cargo and no apt: anything later would have spoken of those.
        let of = format!("pitcrew: {}: ", wrong[0]);
        assert!(said.starts_with(&of) && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn missing_packages_end_with_2_and_the_exact_command() {
    let expected = [
        (
            "apt-get",
            "run: sudo apt-get update && sudo apt-get install -y gcc libc6-dev pkg-config libclang-dev postgresql-15 postgresql-server-dev-15 redis-server\n",
        ),
        (
            "dnf",
            "run: sudo dnf install -y gcc glibc-devel pkgconf-pkg-config clang-devel postgresql-server postgresql-contrib postgresql-server-devel valkey\n",
        ),
        (
            "pacman",
            "run: sudo pacman -S --needed --noconfirm gcc pkgconf clang postgresql valkey\n",
        ),
        (
            "brew",
            "run: brew install gcc pkgconf llvm postgresql@17 redis\n",
        ),
    ];
    for (manager, command) in expected {
        let machine = Machine::new(&format!("missing-{manager}"));
        machine.user(1000);
        if manager == "apt-get" {
            machine.apt("exit 9")
        } else {
            machine.command(manager, "exit 9")
        }
        for verb in ["demo", "test", "bench", "up"] {
            let (code, text) = machine.run(&[verb]);
            assert_eq!(code, 2, "{text}");
            // What the tests alone need comes after what every verb needs.
            let more = if verb == "test" { " node" } else { "\n" };
            let command = format!("{}{more}", command.trim_end());
            assert!(text.contains(&command), "{manager} {verb}: {text}");
        }
        assert_eq!(machine.apt_log(), "", "nothing is installed without -y");
        let (code, text) = machine.run(&["demo", "--no-db", "--no-redis"]);
        assert_eq!(code, 2);
        assert!(
            text.contains("C compiler") && !text.contains("PostgreSQL") && !text.contains("Redis"),
            "{text}"
        );
    }
}

#[test]
fn as_root_no_sudo_is_named_and_known_lists_need_no_update() {
    let machine = Machine::new("root");
    machine.user(0);
    machine.apt("exit 9");
    let lists = machine.system().join("var/lib/apt/lists");
    fs::create_dir_all(&lists).unwrap();
    fs::write(lists.join("x_main_binary-amd64_Packages.lz4"), "").unwrap();
    let (code, text) = machine.run(&["test"]);
    assert_eq!(code, 2);
    assert!(text.contains("run: apt-get install -y gcc "), "{text}");
}

#[test]
fn y_without_root_or_sudo_ends_with_2() {
    let machine = Machine::new("no-sudo");
    machine.user(1000);
    machine.apt("exit 9");
    machine.command("sudo", "exit 1");
    let (code, text) = machine.run(&["demo", "-y"]);
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("-y needs root, or sudo without a password")
            && text.contains("run: sudo apt-get"),
        "{text}"
    );
}

#[test]
fn y_installs_while_no_service_may_start_and_restores_the_old_policy() {
    let machine = Machine::new("install");
    machine.user(0);
    let (seen, clusters) = (
        machine.root.join("seen"),
        machine
            .system()
            .join("etc/postgresql-common/createcluster.d/pitcrew.conf"),
    );
    let look = format!(
        "{} x; echo \"policy $?\" >{3}; cat {1} >>{3}; echo \"front $DEBIAN_FRONTEND\" >>{3}; cp {0} {2}\n",
        machine.policy().display(),
        clusters.display(),
        machine.root.join("ours").display(),
        seen.display(),
    );
    machine.apt(&(look + &machine.complete()));
    machine.cargo();
    machine.program(&machine.policy(), "exit 0");
    let before = fs::read_to_string(machine.policy()).unwrap();

    let (code, text) = machine.run(&["test", "-y", "--strict"]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains(
            "cargo build --locked --workspace --exclude pg_pitcrew --bin pitcrew-stack\n"
        ),
        "{text}"
    );
    assert!(
        text.ends_with("ran test -y --strict\n") || text.contains("ran test -y --strict\n"),
        "{text}"
    );
    let seen = fs::read_to_string(seen).unwrap();
    assert!(
        seen.starts_with("policy 101\n") && seen.contains("create_main_cluster = false"),
        "{seen}"
    );
    assert!(seen.ends_with("front noninteractive\n"), "{seen}");
    assert!(
        machine.apt_log().contains("update\n"),
        "the lists were missing"
    );
    assert!(
        machine
            .apt_log()
            .contains("postgresql-15 postgresql-server-dev-15 redis-server"),
        "{}",
        machine.apt_log()
    );
    assert_eq!(fs::read_to_string(machine.policy()).unwrap(), before);
    assert_eq!(mode(&machine.policy()), 0o755);
    assert!(!clusters.exists());
    assert!(
        !machine
            .policy()
            .with_extension("d.kept-by-pitcrew")
            .exists()
    );

    // Killed in the middle: ours lies there, the old one is kept. The next installation must not take ours for the old one.
    let kept = machine
        .system()
        .join("usr/sbin/policy-rc.d.kept-by-pitcrew");
    fs::rename(machine.policy(), &kept).unwrap();
    fs::copy(machine.root.join("ours"), machine.policy()).unwrap();
    fs::remove_file(machine.bin().join("cc")).unwrap();
    let (code, text) = machine.run(&["demo", "-y"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(fs::read_to_string(machine.policy()).unwrap(), before);
    assert!(!kept.exists());

    // The same where there was none: none is there afterwards.
    fs::copy(machine.root.join("ours"), machine.policy()).unwrap();
    fs::remove_file(machine.bin().join("cc")).unwrap();
    let (code, text) = machine.run(&["demo", "-y"]);
    assert_eq!(code, 0, "{text}");
    assert!(!machine.policy().exists());
}

#[test]
fn an_installation_that_fails_shows_its_last_lines_and_restores() {
    let machine = Machine::new("failing");
    machine.user(0);
    machine.apt("echo 'E: no space left on device' >&2; exit 100");
    machine.program(&machine.policy(), "exit 0");
    let before = fs::read_to_string(machine.policy()).unwrap();
    let (code, text) = machine.run(&["up", "-y"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("    E: no space left on device\n")
            && text.contains("the installation failed"),
        "{text}"
    );
    assert_eq!(fs::read_to_string(machine.policy()).unwrap(), before);
}

#[test]
fn without_cargo_the_command_that_brings_it_is_shown() {
    let machine = Machine::new("no-cargo");
    machine.user(1000);
    machine.apt("exit 9");
    let setup = machine.complete();
    assert!(
        Command::new("/bin/sh")
            .arg("-c")
            .arg(setup)
            .status()
            .unwrap()
            .success()
    );
    let (code, text) = machine.run(&["demo"]);
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("cargo was not found") && text.contains("--default-toolchain 1."),
        "{text}"
    );
    let (code, text) = machine.run(&["doctor"]);
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("PostgreSQL 15.9") && text.contains("--default-toolchain 1."),
        "{text}"
    );
    machine.cargo();
    let (code, text) = machine.run(&["doctor"]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn what_a_bench_compares_with_is_installed_but_not_insisted_on() {
    let machine = Machine::new("peers");
    machine.user(0);
    machine.cargo();
    machine.apt(&machine.complete());
    let (code, text) = machine.run(&["bench", "-y"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("ran bench -y"), "{text}");
    let wanted = machine.apt_log();
    assert!(wanted.contains("valgrind nginx varnish"), "{wanted}");
    // None of the three is there now; a bench leaves out what it cannot compare with.
    let (code, text) = machine.run(&["bench"]);
    assert_eq!(code, 0, "{text}");
    let (_, text) = machine.run(&["doctor"]);
    assert!(text.contains("install -y varnish"), "{text}");
}

#[test]
fn what_some_tests_want_is_installed_but_not_insisted_on() {
    let machine = Machine::new("browser");
    machine.user(0);
    machine.cargo();
    machine.apt(&machine.complete());
    let (code, text) = machine.run(&["test", "-y"]);
    assert_eq!(code, 0, "{text}");
    let wanted = machine.apt_log();
    assert!(wanted.contains("chromium chromium-driver"), "{wanted}");
    // There is no browser now: its tests are skipped, and say so.
    let (code, text) = machine.run(&["test"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("ran test"), "{text}");
}

#[test]
fn doctor_names_a_fix_for_each_need() {
    let machine = Machine::new("doctor");
    machine.user(1000);
    machine.apt("exit 9");
    let (code, text) = machine.run(&["doctor"]);
    assert_eq!(code, 2);
    for fix in [
        "install -y gcc",
        "install -y libclang-dev",
        "install -y postgresql-15 ",
        "install -y redis-server",
    ] {
        assert!(text.contains(fix), "{fix}: {text}");
    }
}

#[test]
fn verbs_that_do_not_exist_end_with_2() {
    let machine = Machine::new("verbs");
    machine.user(1000);
    assert_eq!(machine.run(&[]).0, 2);
    let (code, text) = machine.run(&["fly"]);
    assert_eq!(code, 2);
    assert!(
        text.contains("no verb 'fly'") && text.contains("usage:"),
        "{text}"
    );
    assert_eq!(machine.run(&["help"]).0, 0);
}

//! Child servers: started in a process group of their own, ended with us, and recognised by what they are.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// How often a condition outside of this process is looked at again.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long a killed process may take to disappear before it is left alone.
const GONE_WITHIN: Duration = Duration::from_secs(20);

/// Our effective user id.
#[must_use]
pub(crate) fn uid() -> u32 {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

/// Starts `command` as a server: no standard input, a process group of its own (so that a Ctrl-C in the terminal reaches
/// us alone, and we end the servers in order), and `signal` sent to it should we die without ending it.
pub(crate) fn spawn_server(mut command: Command, signal: libc::c_int) -> io::Result<Child> {
    type Request = (Command, mpsc::Sender<io::Result<Child>>);
    static STARTER: OnceLock<Mutex<mpsc::Sender<Request>>> = OnceLock::new();

    let parent = std::process::id();
    command.stdin(Stdio::null()).process_group(0);
    // SAFETY: between fork and exec only async-signal-safe calls are made: prctl, getppid, _exit.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, signal) != 0 {
                return Err(io::Error::last_os_error());
            }
            // We may have died before the line above took effect.
            if u32::try_from(libc::getppid()).ok() != Some(parent) {
                libc::_exit(1);
            }
            Ok(())
        });
    }
    // "Parent death" is the death of the *thread* that forked (prctl(2)): a test's thread ends long before its process.
    let starter = STARTER.get_or_init(|| {
        let (sender, requests) = mpsc::channel::<Request>();
        std::thread::spawn(move || {
            for (mut command, answer) in requests {
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let (answer, result) = mpsc::channel();
    starter
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, answer))
        .map_err(|_| io::Error::other("the thread that starts servers is gone"))?;
    result
        .recv()
        .map_err(|_| io::Error::other("the thread that starts servers is gone"))?
}

/// Sends `signal` to a child that was not waited for yet, so its pid is still its own.
pub(crate) fn signal(child: &Child, signal: libc::c_int) {
    if let Ok(pid) = libc::pid_t::try_from(child.id()) {
        // SAFETY: kill has no memory preconditions; the pid belongs to an unreaped child of ours.
        unsafe { libc::kill(pid, signal) };
    }
}

/// Waits until `child` ends; false where it did not in time.
pub(crate) fn wait_within(child: &mut Child, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(_)) | Err(_) => return true,
            Ok(None) if Instant::now() >= end => return false,
            Ok(None) => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// Polls `condition` until it answers something, or the limit is over.
pub(crate) fn poll<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = condition() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Kills every process whose program lies in `programs` and whose working directory lies in `folder`, waits until they
/// are gone, and answers how many there were.
///
/// PostgreSQL's children leave the postmaster's process group (`setsid`), so a group is not enough; but each server of
/// ours works in its own data directory and runs a copied program, and no other process on the machine does both.
pub(crate) fn end_all_in(programs: &Path, folder: &Path) -> usize {
    let mut ended = 0;
    let end = Instant::now() + GONE_WITHIN;
    loop {
        let found = servers_in(programs, folder);
        if found.is_empty() || Instant::now() >= end {
            return ended;
        }
        for pid in found {
            // The handle pins the process: what it names was looked at after it was opened, so a reused pid is never hit.
            let Some(handle) = open_pid(pid) else {
                continue;
            };
            if is_server_in(pid, programs, folder) && kill_handle(&handle) {
                ended += 1;
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The processes that run a program below `programs` in a directory below `folder`.
pub(crate) fn servers_in(programs: &Path, folder: &Path) -> Vec<libc::pid_t> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| is_server_in(*pid, programs, folder))
        .collect()
}

/// A zombie has no readable `exe`, so where nobody reaps it counts as dead, which it is.
fn is_server_in(pid: libc::pid_t, programs: &Path, folder: &Path) -> bool {
    let link =
        |name: &str| -> Option<PathBuf> { fs::read_link(format!("/proc/{pid}/{name}")).ok() };
    link("exe").is_some_and(|exe| exe.starts_with(programs))
        && link("cwd").is_some_and(|cwd| cwd.starts_with(folder))
}

fn open_pid(pid: libc::pid_t) -> Option<OwnedFd> {
    // SAFETY: pidfd_open takes two integers; a non-negative answer is a new descriptor that nobody else owns.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        let fd = libc::c_int::try_from(fd).ok()?;
        (fd >= 0).then(|| OwnedFd::from_raw_fd(fd))
    }
}

fn kill_handle(handle: &OwnedFd) -> bool {
    // SAFETY: the descriptor is open for the length of the call; a null siginfo is allowed (pidfd_send_signal(2)).
    unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            handle.as_raw_fd(),
            libc::SIGKILL,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        ) == 0
    }
}

/// The last `lines` lines of a log file, or nothing where there is none.
pub(crate) fn last_lines(path: &Path, lines: usize) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Runs a program to its end and answers its standard output.
pub(crate) fn output(command: &mut Command) -> crate::error::Result<String> {
    Ok(output_of(command)?.0)
}

/// Runs a program to its end and answers both its outputs.
///
/// # Errors
/// [`Error::Program`](crate::Error::Program) with the last lines of its standard error where it fails, or of its standard
/// output where standard error is silent (`pg_upgrade` says there what is wrong).
pub fn output_of(command: &mut Command) -> crate::error::Result<(String, String)> {
    use crate::error::Error;
    let program = describe(command);
    let done = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Error::Program {
            program: program.clone(),
            detail: error.to_string(),
        })?;
    let stdout = String::from_utf8_lossy(&done.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
    if done.status.success() {
        return Ok((stdout, stderr));
    }
    let said = if stderr.trim().is_empty() {
        &stdout
    } else {
        &stderr
    };
    let last: Vec<&str> = said
        .lines()
        .filter(|line| !line.trim().is_empty())
        .rev()
        .take(5)
        .collect();
    let detail = format!(
        "{}: {}",
        done.status,
        last.into_iter().rev().collect::<Vec<_>>().join(" | ")
    );
    Err(Error::Program { program, detail })
}

/// A program on the PATH, or where servers lie, whither a user's PATH need not lead.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|dir| dir.join(name))
        .find(|candidate| candidate.is_file())
}

/// The program and its arguments as a person would type them.
pub(crate) fn describe(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// A program in a process group of its own, that ends with us.
#[derive(Debug)]
pub struct Group {
    child: Child,
}

impl Group {
    /// Starts `command` without standard input. It gets SIGTERM should we die.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn start(command: Command) -> io::Result<Self> {
        Ok(Self {
            child: spawn_server(command, libc::SIGTERM)?,
        })
    }

    /// Sends SIGINT to the whole group, as the terminal's Ctrl-C would.
    pub fn interrupt(&self) {
        self.signal_all(libc::SIGINT);
    }

    /// Whether the program has ended, and how.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn ended(&mut self) -> io::Result<Option<std::process::ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits for the program to end; kills its group where it takes longer than `limit`.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn end_within(&mut self, limit: Duration) -> io::Result<std::process::ExitStatus> {
        if !wait_within(&mut self.child, limit) {
            self.signal_all(libc::SIGKILL);
        }
        self.child.wait()
    }

    fn signal_all(&self, signal: libc::c_int) {
        // The leader is not waited for yet, so the group's number is still its own.
        if let Ok(group) = libc::pid_t::try_from(self.child.id()) {
            // SAFETY: kill has no memory preconditions; a negative number names the group.
            unsafe { libc::kill(-group, signal) };
        }
    }
}

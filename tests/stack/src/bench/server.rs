//! A private HTTP server that is measured from outside.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::place::Slot;
use crate::{process, random};

/// Varnish compiles its configuration first.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How long it may take to end after it was asked to.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// An address on 127.0.0.1 that nobody listens on at this moment.
///
/// # Errors
/// [`Error::Start`] where no port can be bound.
pub fn free_address() -> Result<String> {
    Ok(format!("127.0.0.1:{}", random::free_port()?))
}

/// A server on loopback as the unprivileged account, in a folder of its own; ended when dropped.
#[derive(Debug)]
pub struct HttpServer {
    name: String,
    address: String,
    log: PathBuf,
    child: Child,
}

impl HttpServer {
    /// Starts `command` in `dir`, a folder of `slot`, and waits until it accepts connections on `address`. Of the environment it has
    /// what the command names, and a `PATH`.
    ///
    /// # Errors
    /// [`Error::Start`] with the log's last lines, [`Error::Io`].
    pub fn start(
        slot: &Slot,
        name: &str,
        mut command: Command,
        dir: &Path,
        address: &str,
    ) -> Result<Self> {
        let log = dir.join("log");
        let file = File::create(&log).map_err(Error::io("write", &log))?;
        let errors = file.try_clone().map_err(Error::io("write", &log))?;
        let named: Vec<_> = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        command
            .current_dir(dir)
            .stdout(Stdio::from(file))
            .stderr(Stdio::from(errors))
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .envs(named);
        slot.place().account().apply(&mut command);
        let child = process::spawn_server(command, libc::SIGTERM)
            .map_err(Error::io("start", Path::new(name)))?;
        let mut server = Self {
            name: name.into(),
            address: address.into(),
            log,
            child,
        };
        let ready = process::poll(READY_WITHIN, || {
            if let Ok(Some(status)) = server.child.try_wait() {
                return Some(Err(format!("it ended with {status}")));
            }
            TcpStream::connect(address).is_ok().then_some(Ok(()))
        });
        match ready {
            Some(Ok(())) => Ok(server),
            Some(Err(reason)) => Err(server.failed(reason)),
            None => Err(server.failed(format!("{address} accepts no connection"))),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// CPU nanoseconds that it and its children have taken so far, ended threads included.
    ///
    /// # Errors
    /// [`Error::Start`] where it has ended.
    pub fn cpu_ns(&self) -> Result<f64> {
        let own = cpu_ns(self.child.id()).ok_or_else(|| self.failed("it has ended".into()))?;
        let children = descendants(self.child.id());
        Ok(children
            .into_iter()
            .filter_map(cpu_ns)
            .fold(own, |sum, ns| sum + ns))
    }

    /// Bytes that it keeps in memory: its resident set.
    ///
    /// # Errors
    /// [`Error::Start`] where it has ended.
    pub fn resident_bytes(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let kib = status.ok().and_then(|status| resident_kib(&status));
        kib.map(|kib| kib * 1024.0)
            .ok_or_else(|| self.failed("it has ended".into()))
    }

    fn failed(&self, reason: String) -> Error {
        Error::Start {
            server: self.name.clone(),
            reason,
            log: process::last_lines(&self.log, 5),
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        process::signal(&self.child, libc::SIGTERM);
        if !process::wait_within(&mut self.child, ENDS_WITHIN) {
            process::signal(&self.child, libc::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// Of `/proc/PID/status`.
fn resident_kib(status: &str) -> Option<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The clock that `getrusage` would answer, but of another process and to the nanosecond.
fn cpu_ns(pid: u32) -> Option<f64> {
    let pid = libc::pid_t::try_from(pid).ok()?;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: both calls write only to the variables they are given.
    let read = unsafe {
        let mut clock: libc::clockid_t = 0;
        libc::clock_getcpuclockid(pid, &raw mut clock) == 0
            && libc::clock_gettime(clock, &raw mut time) == 0
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "a bench does not run for a hundred days"
    )]
    read.then_some(time.tv_sec as f64 * 1e9 + time.tv_nsec as f64)
}

/// Every process that `pid` started, and what those started.
fn descendants(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    // One thread's children are listed with that thread.
    for task in fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children
            .split_whitespace()
            .filter_map(|child| child.parse().ok())
        {
            found.push(child);
            found.extend(descendants(child));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_set_is_read() {
        let own = fs::read_to_string("/proc/self/status").unwrap();
        assert!(resident_kib(&own).unwrap() > 100.0);
        assert_eq!(resident_kib("VmRSS:\t    1234 kB\n"), Some(1234.0));
        assert_eq!(resident_kib("Name:\tzombie\n"), None);
    }

    #[test]
    fn a_process_is_read_with_its_children() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(descendants(std::process::id()).contains(&child.id()));
        let before = cpu_ns(std::process::id()).unwrap();
        let mut sum = 0_u64;
        for n in 0..5_000_000_u64 {
            sum = std::hint::black_box(sum ^ n);
        }
        assert!(cpu_ns(std::process::id()).unwrap() > before);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(cpu_ns(child.id()), None, "it has ended");
    }
}

//! The settings of a private cluster, and who may connect to it.

use std::fmt::Write as _;
use std::path::Path;

/// What every cluster of ours is set to; later lines win, so options can override.
pub(super) fn settings(
    sockets: &Path,
    port: u16,
    preload: &[String],
    durable: bool,
    extra: &[(String, String)],
) -> String {
    let mut text = String::from("\n# pitcrew\n");
    let mut set = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name} = '{}'", value.replace('\'', "''"));
    };
    set("listen_addresses", "127.0.0.1");
    set("port", &port.to_string());
    set("unix_socket_directories", &sockets.to_string_lossy());
    // Tests run in parallel, each with pools of its own.
    set("max_connections", "200");
    set("shared_buffers", "128MB");
    // One dynamic worker a maintenance job, beside parallel queries (the default is 8).
    set("max_worker_processes", "64");
    set("track_io_timing", "on");
    set("compute_query_id", "on");
    // The copy has no bitcode, and compiling plans would blur every measured time.
    set("jit", "off");
    set("timezone", "UTC");
    set("log_line_prefix", "%m [%p] %d ");
    set("lc_messages", "C");
    if !preload.is_empty() {
        set("shared_preload_libraries", &preload.join(", "));
    }
    if !durable {
        // The data is thrown away; a kill of the server is still recovered from, only a power cut is not.
        set("fsync", "off");
        set("full_page_writes", "off");
    }
    for (name, value) in extra {
        set(name, value);
    }
    text
}

/// `pg_hba.conf`. The socket lies in a folder that only the server's user and root may enter, so whoever reaches it may
/// be anybody in the database (tests connect as roles without a password); the loopback port is open to every user of
/// the machine, so there a password is needed.
pub(super) const ACCESS: &str = "\
local all all trust
local replication all trust
host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_last_and_are_quoted() {
        let extra = [("jit".to_string(), "it's".to_string())];
        let text = settings(Path::new("/s"), 5, &["a".into(), "b".into()], true, &extra);
        assert!(text.ends_with("jit = 'it''s'\n"));
        assert!(text.contains("shared_preload_libraries = 'a, b'\n"));
        assert!(!text.contains("fsync"));
        assert!(settings(Path::new("/s"), 5, &[], false, &[]).contains("fsync = 'off'"));
    }
}

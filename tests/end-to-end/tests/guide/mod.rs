//! A reader of the guide: its blocks, a desk to run them at, and the programs that they are for.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pitcrew_stack::process::Group;
use pitcrew_stack::{Slot, testing};

use crate::PATIENCE;
use crate::shop::OPERATOR;

const GUIDE: &str = include_str!("../../../../docs/admin.md");
/// The app's address in the guide.
pub(crate) const APP: &str = "127.0.0.1:3000";

/// The pause between two looks at it.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The first block of a language under a heading.
pub(crate) fn block(heading: &str, language: &str) -> &'static str {
    blocks(heading, language)[0]
}

/// The blocks of a language after a heading, in their order.
pub(crate) fn blocks(heading: &str, language: &str) -> Vec<&'static str> {
    let (_, section) = GUIDE
        .split_once(&format!("# {heading}\n"))
        .unwrap_or_else(|| panic!("no heading `{heading}`"));
    let fence = format!("```{language}\n");
    let begun = section.split(&fence).skip(1);
    begun
        .map(|block| block.split_once("```").unwrap().0)
        .collect()
}

/// A place of its own for what a guide's reader has in `/etc` and in their folder.
pub(crate) struct Desk {
    pub(crate) folder: PathBuf,
    /// The folder is removed with it.
    _slot: Arc<Slot>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let slot = testing::slot();
        Self {
            folder: slot.folder("guide").unwrap(),
            _slot: slot,
        }
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// What commands print, which all have to succeed.
    pub(crate) async fn run(&self, script: String) -> String {
        let mut command = Command::new("sh");
        command
            .args(["-euc", &script])
            .current_dir(&self.folder)
            .env("PITCREW_TOKEN", OPERATOR);
        succeeded(&mut command).await
    }
}

/// Beside the runtime's own work: it is the app that is asked.
pub(crate) async fn succeeded(command: &mut Command) -> String {
    command.stdin(Stdio::null());
    let output = tokio::task::block_in_place(|| command.output().unwrap());
    let Output { status, .. } = output;
    let [out, said] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(status.success(), "{command:?}: {status}\n{out}\n{said}");
    out
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A program that ends with the test, also with one that fails.
pub(crate) struct Running(Group);

impl Running {
    pub(crate) fn start(command: Command) -> Self {
        Self(Group::start(command).unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.interrupt();
        let _ = self.0.end_within(Duration::from_secs(5));
    }
}

/// Asks until it is answered what is wanted.
pub(crate) async fn until(
    mut command: impl FnMut() -> Command,
    is_it: impl Fn(&str) -> bool,
) -> String {
    let begin = Instant::now();
    loop {
        let asked = tokio::task::block_in_place(|| command().output().unwrap());
        let told = String::from_utf8_lossy(&asked.stdout).into_owned();
        if is_it(&told) {
            return told;
        }
        let said = String::from_utf8_lossy(&asked.stderr);
        assert!(begin.elapsed() < PATIENCE, "{:?}: {told}{said}", command());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The proxy of the guide for a name of this test's, before an app.
pub(crate) struct Proxy {
    address: String,
    authority: PathBuf,
    _running: Running,
}

pub(crate) const NAME: &str = "admin.example";

impl Proxy {
    pub(crate) fn start(nginx: &Path, desk: &Desk, app: &str) -> Self {
        let key = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        let authority = desk.write("admin.example.pem", &key.cert.pem());
        desk.write("admin.example.key", &key.signing_key.serialize_pem());
        let (port, here) = (free_port(), desk.folder.display());
        let server = block("Behind a reverse proxy", "nginx")
            .replace(APP, app)
            .replace("listen 443 ssl;", &format!("listen 127.0.0.1:{port} ssl;"))
            .replace("/etc/nginx/", &format!("{here}/"));
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {here}/{kind}; "))
            .concat();
        let whole = format!(
            "daemon off; master_process off; pid {here}/pid; error_log {here}/error.log;\n\
             events {{}}\nhttp {{ access_log off; {temporary}\n{server}}}\n"
        );
        let config = desk.write("nginx.conf", &whole);
        let mut command = Command::new(nginx);
        command
            .arg("-e")
            .arg(desk.folder.join("error.log"))
            .arg("-c")
            .arg(config);
        Self {
            address: format!("https://{NAME}:{port}/performance"),
            authority,
            _running: Running::start(command),
        }
    }

    /// A request as of a browser of its own.
    pub(crate) fn curl(&self, desk: &Desk, path: &str) -> Command {
        let mut curl = Command::new("curl");
        let port = self
            .address
            .rsplit(':')
            .next()
            .unwrap()
            .split('/')
            .next()
            .unwrap();
        curl.args([
            "-sS",
            "--resolve",
            &format!("{NAME}:{port}:127.0.0.1"),
            "--cacert",
        ])
        .arg(&self.authority)
        .args(["-b", "cookies", "-c", "cookies"])
        .arg(format!("{}{path}", self.address))
        .current_dir(&desk.folder);
        curl
    }
}

//! The operator's guide (docs/admin.md) does what it says: its commands are run as they stand there, but for the app's address, and
//! its files are given to the programs that they are for.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod shop;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, StatusCode, header};
use pitcrew_admin::{Admin, Token};
use pitcrew_stack::process::{Group, find_program};
use pitcrew_stack::{Slot, require, skip, testing};
use serde_json::Value;
use shop::{OPERATOR, READER, Shop};
use tower::ServiceExt;

const GUIDE: &str = include_str!("../../../docs/admin.md");
/// The app's address in the guide.
const APP: &str = "127.0.0.1:3000";

/// Longest wait for something that has to happen: a bug, not a slow machine, takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two looks at it.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The block of a language under a heading.
fn block(heading: &str, language: &str) -> &'static str {
    let (_, section) = GUIDE
        .split_once(&format!("# {heading}\n"))
        .unwrap_or_else(|| panic!("no heading `{heading}`"));
    let (_, block) = section.split_once(&format!("```{language}\n")).unwrap();
    block.split_once("```").unwrap().0
}

/// A place of its own for what a guide's reader has in `/etc` and in their folder.
struct Desk {
    folder: PathBuf,
    /// The folder is removed with it.
    _slot: Arc<Slot>,
}

impl Desk {
    fn new() -> Self {
        let slot = testing::slot();
        Self {
            folder: slot.folder("guide").unwrap(),
            _slot: slot,
        }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// What commands print, which all have to succeed.
    async fn run(&self, script: String) -> String {
        let mut command = Command::new("sh");
        command
            .args(["-euc", &script])
            .current_dir(&self.folder)
            .env("PITCREW_TOKEN", OPERATOR);
        succeeded(&mut command).await
    }
}

/// Beside the runtime's own work: it is the app that is asked.
async fn succeeded(command: &mut Command) -> String {
    command.stdin(Stdio::null());
    let output = tokio::task::block_in_place(|| command.output().unwrap());
    let Output { status, .. } = output;
    let [out, said] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(status.success(), "{command:?}: {status}\n{out}\n{said}");
    out
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A program that ends with the test, also with one that fails.
struct Running(Group);

impl Running {
    fn start(command: Command) -> Self {
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
async fn until(mut command: impl FnMut() -> Command, is_it: impl Fn(&str) -> bool) -> String {
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

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_guide_do_what_they_say() {
    require!(database, extension, statements);
    if find_program("curl").is_none() {
        skip!("curl is not installed");
    }
    let (shop, desk) = (Shop::open().await, Desk::new());
    let here = |block: &str| block.replace(APP, &shop.address.to_string());
    let told = desk.run(here(block("From a terminal", "sh"))).await;
    let told: Vec<Value> = serde_json::Deserializer::from_str(&told)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap();
    let [status, times, cycle, purged, paused, gone_on] = told.as_slice() else {
        panic!("{} answers: {told:?}", told.len());
    };
    assert!(status["verdict"].is_string(), "{status}");
    assert!(times["series"].is_array(), "{times}");
    assert_eq!(cycle["dry_run"], true, "{cycle}");
    assert_eq!(purged["report"]["local"], "done", "{purged}");
    assert!(paused["paused_until"].is_string(), "{paused}");
    assert_eq!(gone_on["paused_until"], Value::Null, "{gone_on}");
    let audit = fs::read_to_string(desk.folder.join("audit.csv")).unwrap();
    for action in ["POST /cache/invalidate", "POST /cycles/pause"] {
        assert!(audit.contains(action), "{audit}");
    }

    // Without a token.
    let health = desk.run(here(block("For a load balancer", "sh"))).await;
    let answers = serde_json::Deserializer::from_str(&health).into_iter::<Value>();
    let states: Vec<_> = answers
        .map(|told| told.unwrap()["status"].clone())
        .collect();
    assert_eq!(states, ["UP", "UP"]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_made_and_its_hash_is_configured_as_the_guide_says() {
    require!(database);
    if find_program("openssl").is_none() {
        skip!("openssl is not installed");
    }
    let script = format!(
        "{}printf '%s\\n' \"$TOKEN\"",
        block("Who may do what", "sh")
    );
    let told = Desk::new().run(script).await;
    let (hash, token) = told.trim_end().split_once('\n').unwrap();
    let admin = Admin::builder()
        .token(Token::operator(hash))
        .build()
        .unwrap();
    for (token, wanted) in [(token, StatusCode::OK), (hash, StatusCode::UNAUTHORIZED)] {
        let request = Request::get("/whoami")
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(axum::body::Body::empty())
            .unwrap();
        let answer = admin.router().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_with_the_configuration_of_the_guide() {
    require!(database, extension, statements);
    let (Some(prometheus), Some(promtool)) = (find_program("prometheus"), find_program("promtool"))
    else {
        skip!("Prometheus is not installed");
    };
    let (shop, desk) = (Shop::open().await, Desk::new());
    let token = desk.write("pitcrew.token", READER);
    let jobs = block("Prometheus", "yaml")
        .replace(APP, &shop.address.to_string())
        .replace("/etc/prometheus/pitcrew.token", token.to_str().unwrap());
    // Its default is a minute.
    let config = format!("global: {{scrape_interval: 1s}}\n{jobs}");
    let config = desk.write("prometheus.yml", &config);
    succeeded(
        Command::new(promtool)
            .args(["check", "config"])
            .arg(&config),
    )
    .await;

    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(prometheus);
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            desk.folder.join("data").display()
        ))
        .arg(format!("--web.listen-address={address}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _running = Running::start(command);
    let query = |query: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-fsSG", "--data-urlencode", &format!("query={query}")])
            .arg(format!("http://{address}/api/v1/query"));
        curl
    };
    let is_one = |told: &str| {
        let told: Value = serde_json::from_str(told).unwrap_or_default();
        told["data"]["result"][0]["value"][1]
            .as_str()
            .is_some_and(|value| value != "0")
    };
    until(|| query("up{job=\"app\"}"), is_one).await;
    let requests =
        "sum(http_server_request_duration_seconds_count{http_route=\"/customers/{key}/orders\"})";
    until(|| query(requests), is_one).await;
    shop.close().await;
}

/// The proxy of the guide for a name of this test's, before an app.
struct Proxy {
    address: String,
    authority: PathBuf,
    _running: Running,
}

const NAME: &str = "admin.example";

impl Proxy {
    fn start(nginx: &Path, desk: &Desk, app: &str) -> Self {
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
    fn curl(&self, desk: &Desk, path: &str) -> Command {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_gets_through_the_proxy_of_the_guide() {
    require!(database, extension, statements);
    let (Some(nginx), Some(_)) = (find_program("nginx"), find_program("curl")) else {
        skip!("nginx or curl is not installed");
    };
    let (shop, desk) = (Shop::open().await, Desk::new());
    let proxy = Proxy::start(&nginx, &desk, &shop.address.to_string());
    let health = || proxy.curl(&desk, "/health");
    until(health, |told| told.contains("UP")).await;

    let mut log_in = proxy.curl(&desk, "/login");
    log_in
        .args(["-i", "-d", &format!("token={READER}")])
        .args(["-H", "Sec-Fetch-Site: same-origin"]);
    let begun = succeeded(&mut log_in).await.to_ascii_lowercase();
    assert!(
        begun.contains("303") && begun.contains("; secure"),
        "{begun}"
    );
    let page = succeeded(&mut proxy.curl(&desk, "")).await;
    assert!(page.contains("<base href=\"/performance/\">"), "{page}");

    // Two seconds' figures come while the stream goes on, so the proxy holds none back.
    let mut events = proxy.curl(&desk, "/events");
    events
        .args(["-N", "--max-time", "60"])
        .stdout(Stdio::piped());
    let mut events = events.spawn().unwrap();
    let stream = events.stdout.take().unwrap();
    let heard = tokio::task::spawn_blocking(move || {
        use std::io::{BufRead, BufReader};
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        lines
            .filter(|line| line == "event: figures")
            .take(2)
            .count()
    });
    let heard = heard.await.unwrap();
    let is_under_way = events.try_wait().unwrap().is_none();
    events.kill().unwrap();
    events.wait().unwrap();
    assert_eq!((heard, is_under_way), (2, true));

    // Another name of the same address is not this app's.
    let mut other = proxy.curl(&desk, "/status");
    other.args([
        "-H",
        "Host: other.example",
        "-o",
        "refused",
        "-w",
        "%{http_code}",
    ]);
    assert_eq!(succeeded(&mut other).await, "421");
    shop.close().await;
}

//! A real browser: Chromium without a window, driven through chromedriver. Both end with the test, and know nothing of the
//! user's own browser.

mod look;
mod watch;
mod wire;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pitcrew_stack::process::{Group, find_program};
use pitcrew_stack::{Account, Slot, testing};
use serde_json::{Value, json};

use crate::PATIENCE;
#[allow(unused_imports, reason = "each test binary uses a part")]
pub(crate) use look::Scheme;
use wire::{Refused, Session};

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What Chromium is told: no window, no sandbox (containers have none to give), and nothing that asks the network by itself.
const SWITCHES: [&str; 13] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--hide-scrollbars",
    // Nothing but this machine has a name.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--window-size=1280,900",
];

/// A browser with one page. Whatever its console and network say is kept until it is asked for.
pub(crate) struct Browser {
    session: Session,
    /// Ends it with the test, also with one that fails.
    _chromedriver: Chromedriver,
    /// Its folder, with the profile, is removed with it.
    _slot: Arc<Slot>,
}

struct Chromedriver(Group);

impl Drop for Chromedriver {
    fn drop(&mut self) {
        // Chromium is in its group, and ends with it.
        self.0.interrupt();
        let _ = self.0.end_within(Duration::from_secs(5));
    }
}

impl Browser {
    /// Starts both; call `require!(browser)` first.
    pub(crate) async fn start() -> Self {
        let slot = testing::slot();
        let folder = slot.folder("browser").unwrap();
        let (chromedriver, port) = chromedriver(&folder, slot.place().account()).await;
        let mut switches: Vec<_> = SWITCHES.map(str::to_owned).into();
        switches.push(format!(
            "--user-data-dir={}",
            folder.join("profile").display()
        ));
        let chromium = program(&testing::needs::BROWSERS).unwrap();
        let wanted = json!({
            "goog:chromeOptions": {"binary": chromium, "args": switches},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "timeouts": {"script": PATIENCE.as_millis() as u64},
        });
        let session = Session::begin(port, wanted).await;
        Self {
            session,
            _chromedriver: chromedriver,
            _slot: slot,
        }
    }

    /// Ends the browser in order.
    pub(crate) async fn quit(self) {
        self.session.end().await;
    }

    pub(crate) async fn open(&self, url: &str) {
        self.session
            .post("/url", json!({ "url": url }))
            .await
            .unwrap();
    }

    /// The address of the page.
    pub(crate) async fn address(&self) -> String {
        let address = self.session.get("/url").await.unwrap();
        address.as_str().unwrap().to_owned()
    }

    /// Waits until the element of an XPath is there and seen.
    pub(crate) async fn find(&self, path: &str) {
        self.once(path, async || self.shown(path, "displayed").await.map(drop))
            .await;
    }

    /// Clicks the element of an XPath, once it can be.
    pub(crate) async fn click(&self, path: &str) {
        let click = async || {
            self.shown(path, "displayed").await?;
            let element = self.shown(path, "enabled").await?;
            let click = format!("/element/{element}/click");
            self.session.post(&click, json!({})).await.map(drop)
        };
        self.once(path, click).await;
    }

    /// Empties a field and types into it.
    pub(crate) async fn write(&self, path: &str, text: &str) {
        let write = async || {
            let field = self.shown(path, "displayed").await?;
            let field = format!("/element/{field}");
            self.session
                .post(&format!("{field}/clear"), json!({}))
                .await?;
            let keys = json!({ "text": text });
            self.session
                .post(&format!("{field}/value"), keys)
                .await
                .map(drop)
        };
        self.once(path, write).await;
    }

    /// Whether the element of an XPath, which is there, takes a click.
    pub(crate) async fn is_enabled(&self, path: &str) -> bool {
        self.find(path).await;
        self.shown(path, "enabled").await.is_ok()
    }

    /// The element of an XPath, where it is `displayed` or `enabled`.
    async fn shown(&self, path: &str, how: &str) -> Result<String, Refused> {
        let element = self.session.element(path).await?;
        let is = self
            .session
            .get(&format!("/element/{element}/{how}"))
            .await?;
        (is == true)
            .then_some(element)
            .ok_or_else(|| format!("it is not {how}"))
    }

    /// Tries until it can be done: a page may be on its way, or be drawn anew between two steps.
    async fn once(&self, path: &str, what: impl AsyncFn() -> Result<(), Refused>) {
        let begin = Instant::now();
        while let Err(refused) = what().await {
            if begin.elapsed() > PATIENCE {
                panic!("{path}: {refused}\nthe page says: {}", self.text().await);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What the page shows.
    pub(crate) async fn text(&self) -> String {
        let text = self.run("return document.body.innerText", json!([])).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Runs a script in the page; the page's own policy is for its own scripts.
    pub(crate) async fn run(&self, script: &str, arguments: Value) -> Value {
        let body = json!({"script": script, "args": arguments});
        self.session.post("/execute/sync", body).await.unwrap()
    }

    /// [`Browser::run`] for a script that calls back: its last argument.
    pub(crate) async fn run_until_it_calls_back(&self, script: &str) -> Value {
        let body = json!({"script": script, "args": []});
        self.session.post("/execute/async", body).await.unwrap()
    }

    /// What one of chromedriver's logs says since the last call.
    async fn log(&self, name: &str) -> Vec<Value> {
        let entries = self.session.post("/se/log", json!({ "type": name })).await;
        entries.unwrap().as_array().unwrap().clone()
    }

    /// Asks the page until `script` answers something that `is_it`.
    pub(crate) async fn until(&self, script: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let answer = self.run(script, json!([])).await;
            if is_it(&answer) || begin.elapsed() > PATIENCE {
                return answer;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn program(names: &[&str]) -> Option<PathBuf> {
    names.iter().find_map(|name| find_program(name))
}

/// chromedriver on a free port of its own choice, which it tells on its standard output.
async fn chromedriver(folder: &Path, account: &Account) -> (Chromedriver, u16) {
    let said = folder.join("chromedriver");
    let mut command = Command::new(program(&testing::needs::DRIVERS).unwrap());
    command
        .arg("--port=0")
        .stdout(File::create(&said).unwrap())
        .stderr(File::create(folder.join("chromedriver.err")).unwrap())
        // Also where Chromium looks for a home of its own.
        .env("HOME", folder)
        .env("TMPDIR", folder);
    // Whose folder it is: never as root.
    account.apply(&mut command);
    let chromedriver = Chromedriver(Group::start(command).unwrap());
    let begin = Instant::now();
    loop {
        let text = fs::read_to_string(&said).unwrap();
        let port = text
            .split_once("successfully on port ")
            .and_then(|(_, rest)| rest.trim().trim_end_matches('.').parse().ok());
        if let Some(port) = port {
            return (chromedriver, port);
        }
        assert!(begin.elapsed() < PATIENCE, "chromedriver says: {text}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

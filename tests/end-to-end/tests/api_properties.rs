//! end-to-end
//! The admin router's API against its own OpenAPI document: the document is one (OpenAPI 3.1), and whatever a property-based
//! client thinks of, nothing is answered with a 5xx or otherwise than the document says.
//!
//! What the client said is kept in `target/pitcrew/api`.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

#[path = "support/target.rs"]
mod target;

mod shop;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use http::Method;
use pitcrew_stack::require;
use shop::{OPERATOR, READER, Shop};

/// Longest wait for something that has to happen: a bug, not a slow machine, takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Requests of each kind for one operation.
const EXAMPLES: &str = "15";
/// The same ones each time: what is found can be found again.
const SEED: &str = "1";
/// Answers that are streams never end.
const STREAM: &str = "/events";

/// The client and the validator, in an environment of their own that is made once.
fn tools() -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap();
    let wanted = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/requirements.txt");
    let folder = target::folder("python");
    let made = folder.join("made-of.txt");
    let text = fs::read(&wanted).unwrap();
    if !fs::read(&made).is_ok_and(|made| made == text) {
        let mut venv = Command::new("python3");
        succeed(venv.args(["-m", "venv", "--clear"]).arg(&folder));
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "-r"]);
        succeed(pip.arg(&wanted));
        fs::write(&made, text).unwrap();
    }
    folder.join("bin")
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

fn succeed(command: &mut Command) {
    let done = run(command);
    let (out, err) = (&done.stdout, &done.stderr);
    let said = String::from_utf8_lossy(out) + String::from_utf8_lossy(err);
    assert!(done.status.success(), "{command:?}: {said}");
}

/// The document as the router tells it, in a file.
async fn document(shop: &Shop, folder: &Path) -> PathBuf {
    let (_, document) = shop.ask(Method::GET, "/openapi.json", None).await;
    let path = folder.join("openapi.json");
    fs::write(&path, document.to_string()).unwrap();
    path
}

/// Lets the client ask whatever it thinks of, as the holder of a token or as nobody.
async fn holds_for(name: &str, token: Option<&str>) {
    let shop = Shop::open().await;
    let folder = target::folder(&format!("api/{name}"));
    let mut client = Command::new(tools().join("schemathesis"));
    client
        .arg("run")
        .arg(document(&shop, &folder).await)
        .args(["--url", &format!("{}/performance", shop.origin())])
        .args(["--checks", "all", "--exclude-path", STREAM])
        // A value may be well formed and still name nothing, or fit no other; and so many wrong tokens are braked.
        .args(["--exclude-checks", "positive_data_acceptance,ignored_auth"])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", EXAMPLES, "--seed", SEED])
        .args(["--continue-on-failure", "--no-color", "--warnings", "off"])
        // Where it keeps what it has found.
        .current_dir(&folder);
    if let Some(token) = token {
        client.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    let done = tokio::task::spawn_blocking(move || run(&mut client))
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    fs::write(folder.join("said.txt"), said.as_bytes()).unwrap();
    assert!(done.status.success(), "{said}");
    let asked = said
        .split_once(" generated")
        .and_then(|(before, _)| before.split_whitespace().last()?.parse::<u32>().ok());
    assert!(asked.is_some_and(|asked| asked > 500), "{said}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_one() {
    require!(database, extension, statements, python);
    let shop = Shop::open().await;
    let folder = target::folder("api");
    let document = document(&shop, &folder).await;
    succeed(Command::new(tools().join("openapi-spec-validator")).arg(document));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_an_operator_asks_is_answered_as_the_document_says() {
    require!(database, extension, statements, python);
    holds_for("operator", Some(OPERATOR)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_reader_asks_is_answered_as_the_document_says() {
    require!(database, extension, statements, python);
    holds_for("reader", Some(READER)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_nobody_asks_is_answered_as_the_document_says() {
    require!(database, extension, statements, python);
    holds_for("nobody", None).await;
}

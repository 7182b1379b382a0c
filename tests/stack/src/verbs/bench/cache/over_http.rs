//! Server CPU time a request, over HTTP: the reverse proxy with the layer beside nginx and Varnish, each in front of the
//! same origin, all answers held.

use std::path::{Path, PathBuf};
use std::process::Command;

use pitcrew_stack::bench::{Figure, HttpServer, Reading, free_address, interval, rounds};
use pitcrew_stack::process::{find_program, output_of};
use pitcrew_stack::{Error, Result, Stack, checkout};

use super::super::super::child;
use super::super::peers::Peers;
use super::skipped;

/// Requests of a reading.
const REQUESTS: usize = 30_000;

/// Requests that fill a cache: each key more than once.
const FILL: usize = 4_096;

/// What the proxy is built with: optimised across crates.
const PROFILE: &str = "fastest";

/// As many as the cores that are measured on.
const NGINX_WORKERS: usize = 2;

/// What Varnish notes of a hit.
const VARNISH_LOG: [&str; 18] = [
    "Begin",
    "End",
    "Link",
    "Hit",
    "Timestamp",
    "ReqStart",
    "ReqMethod",
    "ReqURL",
    "ReqProtocol",
    "ReqHeader",
    "ReqUnset",
    "ReqAcct",
    "RespProtocol",
    "RespStatus",
    "RespReason",
    "RespHeader",
    "VCL_call",
    "VCL_return",
];

pub(super) fn figures(peers: &Peers<'_>, stack: &Stack) -> Result<Vec<Figure>> {
    let origin = origin(peers, stack)?;
    let ours = reverse_proxy(stack, origin.address())?;
    let mut peers_found = Vec::new();
    for (figure, name, program, start) in [
        (
            "hit_vs_varnish_cpu",
            "Varnish",
            "varnishd",
            varnish as Start,
        ),
        ("hit_vs_nginx_cpu", "nginx", "nginx", nginx as Start),
    ] {
        match find_program(program) {
            Some(program) => {
                let version = version(&program)?;
                let server = start(stack, &program, origin.address())?;
                peers_found.push((figure, name, version, server));
            }
            None => skipped(figure, &format!("{program} is not installed")),
        }
    }
    for server in peers_found.iter().map(|(.., server)| server).chain([&ours]) {
        peers.number(&["load", server.address(), &FILL.to_string()])?;
    }
    let filled = origin.cpu_ns()?;
    let reading = |server| -> Reading<'_, Error> { Box::new(move || ns_a_request(peers, server)) };
    let mut measured = vec![reading(&ours), reading(&ours)];
    measured.extend(peers_found.iter().map(|(.., server)| reading(server)));
    let read = rounds(6, &mut measured)?;
    drop(measured);
    let asked = origin.cpu_ns()? - filled;
    // An idle runtime takes next to nothing; a cache that asks it would cost microseconds each time.
    if asked > 50e6 {
        return Err(Error::Program {
            program: "hits over HTTP".into(),
            detail: format!("the origin was asked: it took {:.0} ms", asked / 1e6),
        });
    }
    let mut figures = vec![Figure::own(
        "http_hit_cpu_us",
        "us",
        interval(&read[0]).map(|ns| ns / 1e3),
    )];
    for (n, (figure, name, version, _)) in peers_found.iter().enumerate() {
        figures
            .push(Figure::ratio(figure, &read[0], &read[1], &read[2 + n]).against(name, version));
    }
    Ok(figures)
}

type Start = fn(&Stack, &Path, &str) -> Result<HttpServer>;

#[expect(clippy::cast_precision_loss, reason = "thousands")]
fn ns_a_request(peers: &Peers<'_>, server: &HttpServer) -> Result<f64> {
    let before = server.cpu_ns()?;
    peers.number(&["load", server.address(), &REQUESTS.to_string()])?;
    Ok((server.cpu_ns()? - before) / REQUESTS as f64)
}

/// What stands after the last slash or dash of the first line: `nginx/1.22.1`, `varnishd (varnish-7.1.1 ...`.
fn version(program: &Path) -> Result<String> {
    let (out, said) = output_of(Command::new(program).arg("-V"))?;
    let text = out + &said;
    let start = text
        .find(|letter: char| letter.is_ascii_digit())
        .unwrap_or(0);
    let end = |letter: char| !letter.is_ascii_digit() && letter != '.';
    Ok(text[start..]
        .split(end)
        .next()
        .unwrap_or("unknown")
        .to_owned())
}

/// A folder for a server, and in it a copy of a program of ours: the checkout may be closed to the account.
fn installed(stack: &Stack, program: &Path) -> Result<(PathBuf, PathBuf)> {
    let dir = stack.slot().folder("http")?;
    let copy = dir.join("program");
    std::fs::copy(program, &copy).map_err(|source| Error::Io {
        action: "copy",
        path: program.to_path_buf(),
        source,
    })?;
    Ok((dir, copy))
}

fn origin(peers: &Peers<'_>, stack: &Stack) -> Result<HttpServer> {
    let (dir, program) = installed(stack, peers.program())?;
    let address = free_address()?;
    let mut command = Command::new(program);
    command.args(["origin", &address]);
    HttpServer::start(stack.slot(), "the origin", command, &dir, &address)
}

fn reverse_proxy(stack: &Stack, origin: &str) -> Result<HttpServer> {
    let root = checkout();
    let build = ["build", "--profile", PROFILE, "--bin", "reverse-proxy"];
    let mut build = child::cargo(&root, &build);
    build.args(child::SELECTION);
    output_of(&mut build)?;
    let built = child::target_dir(&root).join(PROFILE).join("reverse-proxy");
    let (dir, program) = installed(stack, &built)?;
    let address = free_address()?;
    let mut command = Command::new(program);
    command.args([
        "--listen",
        &address,
        "--upstream",
        &format!("http://{origin}"),
    ]);
    HttpServer::start(stack.slot(), "the reverse proxy", command, &dir, &address)
}

/// Without a log, open files kept, connections kept to both sides.
fn nginx(stack: &Stack, program: &Path, origin: &str) -> Result<HttpServer> {
    let dir = stack.slot().folder("nginx")?;
    let address = free_address()?;
    let here = dir.display();
    let text = format!(
        "daemon off; worker_processes {NGINX_WORKERS}; pid {here}/pid; error_log {here}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;
  keepalive_requests 1000000; keepalive_timeout 1h;
  open_file_cache max=4096 inactive=1h; open_file_cache_valid 1h;
  client_body_temp_path {here}/body; proxy_temp_path {here}/proxy; fastcgi_temp_path {here}/fastcgi;
  uwsgi_temp_path {here}/uwsgi; scgi_temp_path {here}/scgi;
  proxy_cache_path {here}/cache levels=1:2 keys_zone=all:16m inactive=1h use_temp_path=off;
  upstream origin {{ server {origin}; keepalive 16; }}
  server {{
    listen {address};
    location / {{
      proxy_pass http://origin; proxy_cache all; proxy_http_version 1.1; proxy_set_header Connection \"\";
      proxy_set_header Host $host;
    }}
  }}
}}\n"
    );
    let file = dir.join("nginx.conf");
    pitcrew_stack::replace_file(&file, text.as_bytes())?;
    let mut command = Command::new(program);
    command
        .arg("-e")
        .arg(dir.join("error.log"))
        .arg("-c")
        .arg(file);
    HttpServer::start(stack.slot(), "nginx", command, &dir, &address)
}

/// In memory, without its log of every transaction, as nginx is without one.
fn varnish(stack: &Stack, program: &Path, origin: &str) -> Result<HttpServer> {
    let dir = stack.slot().folder("varnish")?;
    let address = free_address()?;
    let mask = format!("vsl_mask=-{}", VARNISH_LOG.join(",-"));
    let mut command = Command::new(program);
    command
        .args(["-F", "-j", "none", "-a", &address, "-b", origin])
        .args(["-s", "malloc,64m", "-p", &mask, "-p", "thread_pools=2"])
        .args(["-p", "timeout_idle=3600"])
        .arg("-n")
        .arg(dir.join("work"));
    HttpServer::start(stack.slot(), "Varnish", command, &dir, &address)
}

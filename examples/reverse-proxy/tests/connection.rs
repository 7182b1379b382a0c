//! What a client names in `Connection` is its own affair with the proxy (RFC 9110, 7.6.1): over real sockets, where no library
//! takes it out before.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

/// Longer than any answer takes; what hangs fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ends with the test.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn proxy(upstream: SocketAddr) -> (Proxy, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_reverse-proxy"))
        .args(["--listen", "127.0.0.1:0", "--upstream"])
        .arg(format!("http://{upstream}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut said).unwrap();
    let address = said.trim().rsplit("http://").next().unwrap();
    (Proxy(child), address.parse().unwrap())
}

/// The lines of a head, in lower case.
fn head(stream: &TcpStream) -> Vec<String> {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let lines = lines.map(|line| line.unwrap().to_ascii_lowercase());
    lines.take_while(|line| !line.is_empty()).collect()
}

/// Answers each request on a connection of its own, says what it was given, and has fields of its connection.
fn upstream() -> (SocketAddr, mpsc::Receiver<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (given, received) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head = head(&stream);
            let role = head.iter().any(|line| line == "x-role: admin");
            let body = if role { "for the admin" } else { "for all" };
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\nvary: x-role\r\nconnection: close, x-hop\r\nx-hop: 1\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
            if given.send(head).is_err() {
                return;
            }
        }
    });
    (address, received)
}

fn ask(proxy: SocketAddr, fields: &str) -> String {
    let mut stream = TcpStream::connect(proxy).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET / HTTP/1.1\r\nhost: app\r\n{fields}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.to_ascii_lowercase()
}

#[test]
fn c5_a_field_that_a_client_names_in_connection_reaches_nobody_and_chooses_nothing() {
    let (upstream, given) = upstream();
    let (_proxy, address) = proxy(upstream);
    // It is taken out before the cache chooses a variant, so this is what others are given.
    let poisoning = "x-role: admin\r\nconnection: close, X-Role\r\n";
    let answer = ask(address, poisoning);
    assert!(answer.ends_with("for all"), "{answer}");
    assert!(!answer.contains("x-hop"), "{answer}");
    let head = given.recv_timeout(PATIENCE).unwrap();
    let named = |line: &&String| line.starts_with("x-role") || line.starts_with("connection");
    assert_eq!(head.iter().find(named), None, "{head:?}");

    let plain = ask(address, "connection: close\r\n");
    assert!(plain.contains("cache-status: pitcrew; hit"), "{plain}");
    assert!(plain.ends_with("for all"), "{plain}");
    // Not named, it is the client's own.
    let admin = ask(address, "x-role: admin\r\nconnection: close\r\n");
    assert!(admin.ends_with("for the admin"), "{admin}");
}

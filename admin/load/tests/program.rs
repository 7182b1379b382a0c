//! The program: what it prints, writes and ends with.

#![cfg(feature = "cli")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};

/// A server that gives each connection in turn the same answer, until the test ends.
fn server(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            std::thread::spawn(move || {
                let mut buffer = [0; 4_096];
                while let Ok(read) = stream.read(&mut buffer) {
                    if read == 0 {
                        return;
                    }
                    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    format!("http://{address}/orders?page=1")
}

fn load(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_pitcrew-load"))
        .args(arguments)
        .output()
        .expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn thresholds_decide_the_exit_code() {
    let url = server("200 OK");
    let (code, said, _) = load(&[
        &url,
        "-n",
        "50",
        "-c",
        "2",
        "-t",
        "rate > 0/s",
        "-t",
        "error_rate <= 0%",
    ]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("50 requests in"), "{said}");
    assert!(said.contains("ok     rate > 0/s"), "{said}");
    let (code, said, _) = load(&[&url, "-n", "50", "-t", "p50 > 1h"]);
    assert_eq!(code, Some(2), "an hour is no unit of a threshold: {said}");
    let (code, said, _) = load(&[&url, "-n", "50", "-t", "p50 > 3600s"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("BROKEN p50 > 3600000ms"), "{said}");
}

#[test]
fn what_is_answered_badly_is_counted_by_its_kind() {
    let (code, said, _) = load(&[&server("503 Busy"), "-n", "20", "-t", "error_rate < 1%"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("20 errors: status"), "{said}");
    assert!(said.contains("(100.000)"), "{said}");
}

#[test]
fn the_report_is_written_as_json() {
    let path = std::env::temp_dir().join(format!("pitcrew-load-{}.json", std::process::id()));
    let name = path.to_str().expect("a path");
    let (code, said, _) = load(&[&server("200 OK"), "-s", "0..200/s:500ms", "--json", name]);
    // A machine that is busy elsewhere makes the tester late, and then it says so.
    assert!(matches!(code, Some(0 | 3)), "{said}");
    let text = std::fs::read_to_string(&path).expect("written");
    std::fs::remove_file(&path).expect("removed");
    let told: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(told["report"]["model"], "open");
    assert_eq!(told["report"]["due"], 50);
    assert_eq!(told["report"]["ok"], 50);
    assert_eq!(
        told["report"]["generator_limited"].is_null(),
        code == Some(0)
    );
}

#[test]
fn a_wrong_command_line_says_what_it_wants_and_sends_nothing() {
    let url = server("200 OK");
    for (arguments, wants) in [
        (vec!["not a url"], "is no URL"),
        (vec!["http://127.0.0.1:1/"], "cannot connect to 127.0.0.1:1"),
        (vec!["http://192.0.2.1/"], "--allow-target 192.0.2.1"),
        (
            vec!["http://192.0.2.1/", "--allow-target", "192.0.2.2"],
            "--allow-target 192.0.2.1",
        ),
        (vec![&url, "-r", "-1"], "unexpected argument"),
        (vec![&url, "-r=-1"], "wants 0 to 200000 arrivals"),
        (vec![&url, "-d", "10"], "is no time"),
        (vec![&url, "-s", "1000"], "is no stage"),
        (
            vec![&url, "-s", "1/s:1s", "-d", "1s"],
            "cannot be used with",
        ),
        (vec![&url, "-H", "accept"], "write `name: value`"),
        (vec![&url, "-H", "host: evil.example"], "headers.host"),
        (vec![&url, "-t", "p98 < 1ms"], "there is no figure `p98`"),
        (
            vec![&url, "-t", "p99 < 1ms", "-t", "p99 > 2ms"],
            "no run can keep both",
        ),
        (vec![&url, "--capacity"], "--threshold"),
        (vec![&url, "--timeout", "2h"], "timeout_ms"),
    ] {
        let (code, said, complaint) = load(&arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}{complaint}");
        assert!(complaint.contains(wants), "{arguments:?}: {complaint}");
        assert!(said.is_empty(), "{arguments:?}: {said}");
    }
}

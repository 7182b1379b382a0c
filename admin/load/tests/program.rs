//! The program: what it prints, writes and ends with.

#![cfg(feature = "cli")]

#[path = "support/plans.rs"]
mod plans;

use std::io::{BufRead as _, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
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

/// A folder of one test, gone when it ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("pitcrew-load-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a folder");
        Self(path)
    }

    /// A path in it, twice.
    fn file(&self, name: &str) -> (PathBuf, String) {
        let path = self.0.join(name);
        let name = path.to_str().expect("text").to_owned();
        (path, name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
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
    let plan = arguments
        .iter()
        .skip_while(|name| **name != "--plan")
        .nth(1);
    if let Some(plan) = plan.filter(|_| status.code() != Some(2)) {
        let plan = plans::toml(&std::fs::read_to_string(plan).expect("a plan"));
        let faults = plans::faults(&plan);
        assert!(faults.is_empty(), "it ran, and its schema says: {faults:?}");
    }
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
    assert!(said.contains("held      rate > 0/s"), "{said}");
    let (code, said, _) = load(&[&url, "-n", "50", "-t", "p50 > 1h"]);
    assert_eq!(code, Some(2), "an hour is no unit of a threshold: {said}");
    let (code, said, _) = load(&[&url, "-n", "50", "-t", "p50 > 3600s"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("BROKEN    p50 > 3600000ms"), "{said}");
}

#[test]
fn what_is_answered_badly_is_counted_by_its_kind() {
    let (code, said, _) = load(&[&server("503 Busy"), "-n", "20", "-t", "error_rate < 1%"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("20 errors: status"), "{said}");
    assert!(said.contains("(100%)"), "{said}");
}

#[test]
fn the_report_is_written_as_json() {
    let folder = Folder::new("json");
    let (path, name) = folder.file("run.json");
    let (code, said, _) = load(&[&server("200 OK"), "-s", "0..200/s:500ms", "--json", &name]);
    // A machine that is busy elsewhere makes the tester late, and then it says so.
    assert!(matches!(code, Some(0 | 3)), "{said}");
    let text = std::fs::read_to_string(&path).expect("written");
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
fn each_form_is_written_where_it_was_asked_for() {
    let folder = Folder::new("forms");
    let files = ["run.json", "run.html", "run.xml", "run.hlog"].map(|name| folder.file(name));
    let mut arguments = vec![server("200 OK"), "-n".to_owned(), "400".to_owned()];
    arguments.extend(["-t".to_owned(), "p50 > 1s".to_owned()]);
    for (option, (_, name)) in ["--json", "--html", "--junit", "--hdr"].iter().zip(&files) {
        arguments.extend([(*option).to_owned(), name.clone()]);
    }
    arguments.push("--markdown".to_owned());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (code, said, _) = load(&arguments);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("# Load test of 127.0.0.1:"), "{said}");
    for ((path, _), holds) in files.iter().zip([
        "\"schema\": \"pitcrew-load/1\"",
        "<h2>Heat map</h2>",
        "<failure type=\"threshold\"",
        "#[Histogram log format version 1.3]",
    ]) {
        let text = std::fs::read_to_string(path).expect("written");
        assert!(text.contains(holds), "{text}");
    }
    // Of the whole plan, so that it is complete by itself.
    let json = &files[0].1;
    let (code, again, complaint) = load(&["merge", json, "--markdown"]);
    assert_eq!((code, again), (Some(1), said), "{complaint}");
    let (code, _, complaint) = load(&["merge", json, json]);
    assert_eq!(code, Some(2));
    assert!(complaint.contains("are both of part 1/1"), "{complaint}");
    let (code, said, _) = load(&["compare", json, json]);
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("too short: both runs want twenty seconds"),
        "{said}"
    );
}

#[test]
fn the_parts_of_a_plan_are_merged_to_the_whole() {
    let folder = Folder::new("parts");
    let url = server("200 OK");
    let parts: Vec<String> = (1..=3)
        .map(|number| {
            let (_, json) = folder.file(&format!("{number}.json"));
            let part = format!("{number}/3");
            let (code, said, complaint) =
                load(&[&url, "-s", "0..100/s:1s", "--part", &part, "--json", &json]);
            assert!(matches!(code, Some(0 | 3)), "{said}{complaint}");
            assert!(said.contains(&format!("part {number} of 3")), "{said}");
            json
        })
        .collect();
    let (_, json) = folder.file("whole.json");
    let (code, said, complaint) =
        load(&["merge", &parts[2], &parts[0], &parts[1], "--json", &json]);
    assert!(matches!(code, Some(0 | 3)), "{complaint}");
    assert!(said.starts_with("50 requests in"), "{said}");
    assert!(
        said.contains("50 were due, 0 missed; part 1, 2, 3 of 3"),
        "{said}"
    );
    let (code, _, complaint) = load(&["merge", &parts[0], &parts[2]]);
    assert_eq!(code, Some(2));
    assert!(complaint.contains("part 2/3 is missing"), "{complaint}");
    let (code, _, complaint) = load(&[&url, "--part", "4/3"]);
    assert_eq!(code, Some(2));
    assert!(complaint.contains("write 1/4"), "{complaint}");
}

#[test]
fn a_plan_comes_from_a_file_as_well() {
    let folder = Folder::new("plan");
    let url = server("200 OK");
    let target = url.strip_suffix("/orders?page=1").expect("a target");
    let (path, name) = folder.file("plan.toml");
    let write = |http: &str| {
        let text = format!("target = '{target}'\nthresholds = ['p50 > 1s']\n[http]\n{http}\n");
        std::fs::write(&path, text).expect("written");
    };
    write("requests = 30\nconnections = 3");
    let (code, said, complaint) = load(&["--plan", &name, "-t", "rate > 0/s"]);
    assert_eq!(code, Some(1), "{complaint}");
    assert!(said.starts_with("30 requests in"), "{said}");
    assert!(
        said.contains("BROKEN    p50 > 1000ms") && said.contains("held      rate > 0/s"),
        "{said}"
    );
    let (code, said, _) = load(&["--plan", &name, "--part", "2/3"]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("10 requests in"), "{said}");
    for (http, arguments, wants) in [
        (
            "conections = 3",
            vec!["--plan", &name],
            "plan.toml: http.conections: TOML parse error at line 4",
        ),
        (
            "connections = 0",
            vec!["--plan", &name],
            "http.connections: wants 1 to",
        ),
        (
            "path = 'a",
            vec!["--plan", &name],
            "plan.toml: TOML parse error at line 4",
        ),
        ("", vec!["--plan", "plan.yaml"], "cannot read plan.yaml"),
        ("", vec!["--plan", &name, "-r", "5"], "cannot be used with"),
        ("", vec!["--plan", &name, &url], "cannot be used with"),
    ] {
        write(http);
        let (code, said, complaint) = load(&arguments);
        assert_eq!((code, &*said), (Some(2), ""), "{arguments:?}: {complaint}");
        assert!(complaint.contains(wants), "{arguments:?}: {complaint}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_tells_what_it_has() {
    let folder = Folder::new("interrupted");
    let (path, json) = folder.file("run.json");
    let url = server("200 OK");
    let mut child = Command::new(env!("CARGO_BIN_EXE_pitcrew-load"))
        .args([&url, "-d", "10m", "--json", &json])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    // Its first second is over, so it is under way and listens.
    let mut lines = std::io::BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    assert!(line.contains("/s  p50"), "{line}");
    let id = i32::try_from(child.id()).expect("an id");
    // SAFETY: sends a signal to a process of our own that was not waited for yet.
    assert_eq!(unsafe { libc::kill(id, libc::SIGINT) }, 0);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("The run was interrupted"), "{said}");
    let text = std::fs::read_to_string(&path).expect("written");
    let told: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(told["report"]["cancelled"], true);
}

#[test]
fn a_broken_threshold_ends_the_run_where_it_says_abort() {
    let (code, said, lines) = load(&[
        &server("503 Busy"),
        "-d",
        "10m",
        "-t",
        "error_rate < 1% over 1s abort",
    ]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Stopped after 1"), "{said}");
    assert!(
        said.contains("BROKEN    error_rate < 1% over 1s abort (100%)"),
        "{said}"
    );
    // Standard error is no terminal here: a line a second, and nothing that moves a cursor.
    assert!(
        lines.lines().any(|line| line.contains("/s  p50 0.000 ms")),
        "{lines}"
    );
    assert!(!lines.contains('\x1b'), "{lines}");
}

#[test]
fn a_quiet_run_says_nothing_before_its_end() {
    let (code, _, lines) = load(&[&server("200 OK"), "-d", "1500ms", "-q"]);
    assert_eq!((code, lines.as_str()), (Some(0), ""));
}

#[test]
fn a_file_that_cannot_be_is_known_before_the_first_request() {
    let folder = Folder::new("files");
    let (path, garbage) = folder.file("garbage.json");
    std::fs::write(&path, "{\"schema\": \"pitcrew-load/9\"}").expect("written");
    let (_, missing) = folder.file("missing/run.json");
    let url = server("200 OK");
    for (arguments, wants) in [
        (vec![&*url, "--html", &missing], "cannot write"),
        (vec![&url, "--compare", &missing], "cannot read"),
        (
            vec![&url, "--compare", &garbage],
            "has the schema `pitcrew-load/9`",
        ),
        (vec!["merge", &missing], "cannot read"),
        (vec!["merge", &garbage], "garbage.json has the schema"),
        (vec!["merge"], "<RESULTS>..."),
        (vec!["compare", &garbage], "<RESULT>"),
        (
            vec!["compare", &garbage, &garbage, "--small", "101"],
            "0 to 100",
        ),
    ] {
        let (code, said, complaint) = load(&arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}{complaint}");
        assert!(complaint.contains(wants), "{arguments:?}: {complaint}");
        assert!(said.is_empty(), "{arguments:?}: {said}");
    }
}

#[test]
fn a_wrong_command_line_says_what_it_wants_and_sends_nothing() {
    let url = server("200 OK");
    for (arguments, wants) in [
        (vec!["not a url"], "is no URL"),
        (
            vec!["http://127.0.0.1:1/"],
            "cannot connect to `127.0.0.1:1`",
        ),
        (vec!["http://192.0.2.1/"], "--allow-target 192.0.2.1:80"),
        (
            vec!["http://192.0.2.1/", "--allow-target", "192.0.2.2"],
            "--allow-target 192.0.2.1:80",
        ),
        (vec![&url, "--poisson", "-n", "4"], "--rate"),
        (vec![&url, "--seed", "4", "-r", "5"], "--poisson"),
        (
            vec![&url, "-n", "400", "-t", "requests > 500"],
            "wants 500 requests, and the plan sends 400",
        ),
        (
            vec![&url, "-n", "400", "-t", "lag_p99 < 1s"],
            "is of an open model",
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
        (vec![&url, "--capacity"], "--usual-thresholds"),
        (
            vec![&url, "--capacity", "-t", "p99 < 1s", "--junit", "/dev/null"],
            "leave --junit and --hdr out",
        ),
        (
            vec![&url, "--capacity", "-t", "p99 < 1s", "--from=0"],
            "--from wants more than 0",
        ),
        (vec![&url, "--from", "5"], "--capacity"),
        (
            vec![&url, "-t", "p50 > 300ms", "-t", "p99 < 200ms"],
            "no run can keep both `p99 < 200ms` and `p50 > 300ms`",
        ),
        (
            vec![&url, "-r", "10", "-t", "rate >= 100/s"],
            "the plan sends 10",
        ),
        (
            vec![&url, "-d", "2s", "-t", "p99 < 1s over 3s"],
            "the plan sends for 2 s",
        ),
        (
            vec![&url, "-t", "p99 of buy < 1s"],
            "names the step `buy`; there are no steps",
        ),
        (vec![&url, "-d", "0.0001s"], "wants 0.001 to 600 seconds"),
        (vec![&url, "-u", "5"], "is no stage: write 50:30s"),
        (vec![&url, "-u", "5:1s", "-c", "5"], "cannot be used with"),
        (vec![&url, "--ramp-up", "11s"], "ramp_up_s: wants"),
        (vec![&url, "--streams", "2"], "--http2"),
        (vec![&url, "--idle", "2"], "--idle is for ws://"),
        (
            vec![&url, "--json", "/dev/full"],
            "cannot write /dev/full: No space left",
        ),
        (vec![&url, "-t", "missed <= 1 abort"], "known at the end"),
        (vec![&url, "--timeout", "2h"], "timeout_ms"),
    ] {
        let (code, said, complaint) = load(&arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}{complaint}");
        assert!(complaint.contains(wants), "{arguments:?}: {complaint}");
        assert!(said.is_empty(), "{arguments:?}: {said}");
    }
}

#[test]
fn no_file_is_overwritten_that_is_read_or_written_too() {
    let folder = Folder::new("twice");
    let (plan, name) = folder.file("plan.toml");
    let url = server("200 OK");
    let target = url.trim_end_matches("/orders?page=1");
    let text = format!("target = '{target}'\n[http]\nrequests = 3\nconnections = 1\n");
    std::fs::write(&plan, text).expect("written");
    let (_, other) = folder.file("run.json");
    for arguments in [
        vec!["--plan", &name, "--json", &name],
        vec!["--plan", &name, "--json", &other, "--html", &other],
    ] {
        let (code, said, complaint) = load(&arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}{complaint}");
        assert!(complaint.contains("is named twice"), "{complaint}");
    }
    assert!(std::fs::read_to_string(&plan).is_ok_and(|text| text.contains("requests")));
    let twice = [
        "--plan",
        &name,
        "--json",
        "/dev/null",
        "--html",
        "/dev/null",
    ];
    assert_eq!(load(&twice).0, Some(0));
}

#[test]
fn a_full_disk_at_standard_output_is_told() {
    let full = std::fs::File::options().write(true).open("/dev/full");
    let output = Command::new(env!("CARGO_BIN_EXE_pitcrew-load"))
        .args([&*server("200 OK"), "-n", "5", "-q"])
        .stdout(full.expect("it opens"))
        .output()
        .expect("it runs");
    let complaint = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert!(
        complaint.contains("cannot write to standard output"),
        "{complaint}"
    );
}

#[test]
fn a_percentile_of_too_few_answers_says_nothing() {
    let folder = Folder::new("short");
    let (path, name) = folder.file("run.xml");
    let (code, said, _) = load(&[
        &server("200 OK"),
        "-n",
        "100",
        "-t",
        "p999 < 60s",
        "-t",
        "rate > 0/s",
        "--junit",
        &name,
    ]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("too short p999 < 60000ms ("), "{said}");
    assert!(said.contains("so far, too short: it takes 3688)"), "{said}");
    let junit = std::fs::read_to_string(path).expect("written");
    assert!(junit.contains("failures=\"0\" errors=\"1\""), "{junit}");
}

#[test]
fn where_nothing_failed_no_failure_was_slow_and_before_a_window_nothing_broke() {
    let url = server("200 OK");
    let (code, said, _) = load(&[&url, "-n", "20", "-t", "failed_p99 < 1s"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("held      failed_p99 < 1000ms (none failed)"),
        "{said}"
    );
    let (code, said, _) = load(&[&url, "-n", "20", "-t", "max < 60s over 5s"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("(too short: it takes 5 seconds)"), "{said}");
}

#[test]
fn a_target_that_answers_all_has_the_rate_at_which_requests_came() {
    let url = server("200 OK");
    let (code, said, complaint) = load(&[&url, "-r", "100", "-d", "500ms", "-t", "rate >= 100/s"]);
    // A machine that is busy elsewhere makes the tester late, and then it says so; the threshold holds all the same.
    assert!(matches!(code, Some(0 | 3)), "{said}{complaint}");
    assert!(said.contains("held      rate >= 100/s (100/s)"), "{said}");
}

#[test]
fn what_a_terminal_would_obey_is_shown_and_not_sent() {
    let folder = Folder::new("escapes");
    let (path, name) = folder.file("plan.json");
    std::fs::write(&path, "{\"target\": \"a\", \"\\u001b]0;owned\\u0007\": 1}").expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_pitcrew-load"))
        .args(["--plan", &name])
        .output()
        .expect("it runs");
    let complaint = String::from_utf8(output.stderr).expect("text");
    assert!(complaint.contains("owned"), "{complaint}");
    assert!(!complaint.contains(['\u{1b}', '\u{7}']), "{complaint}");
    // And what is behind a plan is no plan.
    std::fs::write(
        &path,
        "{\"target\": \"http://127.0.0.1:1\", \"http\": {}} {}",
    )
    .expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_pitcrew-load"))
        .args(["--plan", &name])
        .output()
        .expect("it runs");
    let complaint = String::from_utf8(output.stderr).expect("text");
    assert!(
        complaint.contains("something behind the plan"),
        "{complaint}"
    );
}

#[test]
fn the_usual_targets_are_thresholds_too() {
    let url = server("503 Busy");
    let (code, said, _) = load(&[&url, "-n", "20", "--usual-thresholds"]);
    assert_eq!(code, Some(1), "{said}");
    for threshold in [
        "mean < 200ms",
        "p95 < 500ms",
        "p99 < 1000ms",
        "rate >= 1000/s",
    ] {
        assert!(said.contains(threshold), "{said}");
    }
    assert!(said.contains("BROKEN    error_rate < 1% (100%)"), "{said}");
}

#[test]
fn users_come_by_stages_of_the_command_line() {
    let url = server("200 OK");
    for arguments in [
        vec![&*url, "-u", "0..3:200ms", "-u", "3:100ms"],
        vec![&url, "-c", "3", "-d", "300ms", "--ramp-up", "200ms"],
        vec![&url, "-c", "3", "-d", "300ms", "--no-keep-alive"],
    ] {
        let (code, said, complaint) = load(&arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}{complaint}");
    }
}

#[test]
fn a_search_of_the_capacity_is_written_with_what_it_tried() {
    let folder = Folder::new("capacity");
    let ((json, json_name), (html, html_name)) = (folder.file("c.json"), folder.file("c.html"));
    let url = server("200 OK");
    let (code, said, complaint) = load(&[
        &url,
        "--capacity",
        "--from",
        "50",
        "--to",
        "100",
        "-d",
        "200ms",
        "-t",
        "max < 60s",
        "--json",
        &json_name,
        "--html",
        &html_name,
    ]);
    // It holds as far as it may go, or the machine is too busy: nothing is found either way.
    assert_eq!(code, Some(3), "{said}{complaint}");
    assert!(said.contains("Not measurable here: "), "{said}");
    let text = std::fs::read_to_string(json).expect("written");
    let told: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(told["schema"], "pitcrew-load-capacity/1");
    assert_eq!(told["capacity"]["result"], "not_measurable");
    assert_eq!(told["tried"][0]["rate_per_s"], 50.0);
    let page = std::fs::read_to_string(html).expect("written");
    assert!(
        page.contains("Rates that were tried") && page.contains("<svg"),
        "{page}"
    );
}

#[test]
fn a_plan_of_steps_reads_its_rows_from_a_file_beside_it() {
    let folder = Folder::new("steps");
    let url = server("200 OK");
    let target = url.trim_end_matches("/orders?page=1");
    let (rows, _) = folder.file("users.csv");
    std::fs::write(&rows, "name\nann\nbob\n").expect("written");
    let (path, name) = folder.file("shop.toml");
    let plan = |expects: &str, file: &str| {
        format!(
            r#"
            target = "{target}"
            [http]
            requests = 10
            connections = 2
            data.user.rows.file = "{file}"
            [[http.steps]]
            name = "look"
            path = "/users/{{{{user.name}}}}"
            [[http.steps]]
            name = "buy"
            method = "POST"
            path = "/buy"
            expect.body_contains = "{expects}"
            "#
        )
    };
    std::fs::write(&path, plan("ok", "users.csv")).expect("written");
    let (code, said, wrong) = load(&["--plan", &name, "-q"]);
    assert_eq!(code, Some(0), "{said}{wrong}");
    assert!(said.starts_with("20 requests in"), "{said}");
    let line = said.lines().find(|line| line.ends_with("  buy"));
    assert!(
        line.is_some_and(|line| line.trim_start().starts_with("10 ")),
        "{said}"
    );
    std::fs::write(&path, plan("sold", "users.csv")).expect("written");
    let (_, said, _) = load(&["--plan", &name, "-q"]);
    assert!(said.contains("10  not met: body_contains"), "{said}");
    std::fs::write(&path, plan("ok", "nobody.csv")).expect("written");
    let (code, _, wrong) = load(&["--plan", &name, "-q"]);
    assert_eq!(code, Some(2));
    assert!(
        wrong.contains("http.data.user.rows.file: cannot read"),
        "{wrong}"
    );
}

#[test]
fn a_url_says_the_protocol_and_options_of_another_are_refused() {
    for (arguments, wants) in [
        (
            &["postgres://u@127.0.0.1:1/d", "-X", "PUT"][..],
            "--method and --body is for http://",
        ),
        (
            &["http://127.0.0.1:1/", "--sql", "SELECT 2"],
            "--sql is for postgres://",
        ),
        (
            &["ws://127.0.0.1:1/", "--mode", "simple"],
            "--mode is for postgres://",
        ),
        (
            &["http://127.0.0.1:1/", "--message", "x"],
            "--message is for ws://",
        ),
        (
            &["postgres://u:secret@192.0.2.1/d"],
            "192.0.2.1:5432/d is not on this machine: where you may load it, say --allow-target 192.0.2.1:5432/d",
        ),
        (
            &["ws://192.0.2.1:80/"],
            "192.0.2.1:80 (192.0.2.1) is not on this machine",
        ),
        (&["postgres://u:secret@127.0.0.1:1/d"], "target: "),
    ] {
        let (code, said, wrong) = load(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}{wrong}");
        assert!(wrong.contains(wants), "{arguments:?}: {wrong}");
        assert!(!wrong.contains("secret"), "{wrong}");
    }
}

#[test]
fn scenarios_run_side_by_side_and_each_has_thresholds_of_its_own() {
    let folder = Folder::new("scenarios");
    let good = server("200 OK");
    let good = good.trim_end_matches("/orders?page=1");
    let bad = server("503 Busy");
    let bad = bad.trim_end_matches("/orders?page=1");
    let (path, name) = folder.file("plan.toml");
    let (_, json) = folder.file("run.json");
    let text = format!(
        r#"
        thresholds = ["error_rate < 60%"]
        [[scenarios]]
        name = "good"
        target = "{good}"
        thresholds = ["error_rate <= 0%"]
        http = {{ requests = 30, connections = 2 }}
        [[scenarios]]
        name = "bad"
        target = "{bad}"
        start_s = 0.2
        thresholds = ["error_rate < 1%"]
        http = {{ requests = 20, connections = 2 }}
        "#
    );
    std::fs::write(&path, &text).expect("written");
    let (code, said, complaint) = load(&["--plan", &name, "-q", "--json", &json]);
    assert_eq!(code, Some(1), "{said}{complaint}");
    assert!(said.starts_with("50 requests in"), "{said}");
    let (whole, scenarios) = said
        .split_once("\nScenario good: 30 requests")
        .expect("named");
    assert!(whole.contains("held      error_rate < 60% (40%)"), "{said}");
    let (good_one, bad_one) = scenarios
        .split_once("\nScenario bad: 20 requests")
        .expect("named");
    assert!(good_one.contains("held      error_rate <= 0%"), "{said}");
    assert!(
        bad_one.contains("BROKEN    error_rate < 1% (100%)"),
        "{said}"
    );
    let (code, again, _) = load(&["merge", &json]);
    assert_eq!((code, again), (Some(1), said));
    // It ends for all when one of them breaks what it should not.
    let abort = text
        .replace("error_rate < 1%", "error_rate < 1% over 1s abort")
        .replace("requests = 20, ", "")
        .replace("requests = 30", "duration_s = 500");
    std::fs::write(&path, abort).expect("written");
    let (code, said, _) = load(&["--plan", &name, "-q"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Stopped after 1"), "{said}");
    for (one, other, wants) in [
        (
            "start_s = 0.2",
            "start_s = -1",
            "scenarios[1].start_s: wants",
        ),
        (
            "connections = 2",
            "conections = 2",
            "scenarios[0].http.conections: ",
        ),
        (
            "name = \"bad\"",
            "name = \"good\"",
            "scenarios[1].name: is `good`",
        ),
        (bad, "http://192.0.2.1:80", "--allow-target 192.0.2.1:80"),
    ] {
        std::fs::write(&path, text.replace(one, other)).expect("written");
        let (code, said, complaint) = load(&["--plan", &name, "-q"]);
        assert_eq!((code, &*said), (Some(2), ""), "{complaint}");
        assert!(complaint.contains(wants), "{complaint}");
    }
}

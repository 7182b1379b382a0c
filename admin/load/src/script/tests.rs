//! Plans with steps: what is refused, and what a visitor sends.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Script, Visitor};
use crate::plan::HttpPlan;
use crate::record::{Answer, ErrorKind};

fn plan(json: &str) -> HttpPlan {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn script(json: &str) -> std::sync::Arc<Script> {
    let checked = plan(json)
        .checked()
        .unwrap_or_else(|error| panic!("{json}: {error}"));
    checked.script.expect("a script")
}

fn refused(json: &str) -> String {
    plan(json).check().expect_err(json).to_string()
}

const OK: Answer = Answer {
    status: Some(200),
    body_bytes: 0,
};

/// The request of a step of HTTP.
fn sent(step: &super::compiled::CompiledStep, visitor: &mut Visitor) -> crate::request::Request {
    match step.request(visitor) {
        Ok(super::Sent::Http(request)) => request,
        _ => panic!("a request"),
    }
}

fn answered(visitor: &mut Visitor, headers: &[(&str, &str)], body: &str) {
    visitor.reply.begin();
    for (name, value) in headers {
        visitor.reply.header(name, value.as_bytes());
    }
    visitor.reply.data(body.as_bytes());
}

#[test]
fn a_visit_takes_values_from_data_and_from_answers() {
    let script = script(
        r#"{
            "headers": {"accept": "*/*", "x-user": "{{user.name}}"},
            "data": {"user": {"rows": {"csv": "id,name\n7,Jo \"x\" & co\n"}}, "n": {"counter": {"from": 5, "step": 2}}},
            "steps": [
                {"path": "/login?u={{user.name}}", "method": "POST", "body": "{\"n\": {{user.name|json}}}",
                 "capture": {"token": {"json": "/token"}, "etag": {"header": "ETag"}, "id": {"regex": "id=([0-9]+)"}}},
                {"path": "/orders/{{id}}/{{n}}", "headers": {"authorization": "Bearer {{token}}", "Accept": "text/{{etag}}"}}
            ]
        }"#,
    );
    let mut visitor = script.visitor();
    let steps = script.begin(&mut visitor);
    let login = sent(&steps[0], &mut visitor);
    assert_eq!(login.path, "/login?u=Jo%20%22x%22%20%26%20co");
    assert_eq!(login.body, r#"{"n": "Jo \"x\" & co"}"#);
    answered(
        &mut visitor,
        &[("etag", "v1"), ("Set-Cookie", "sid=9; Path=/")],
        r#"{"token": "secret", "more": "id=42"}"#,
    );
    steps[0]
        .judge(&mut visitor, &login.path, &OK, Duration::ZERO)
        .expect("what it expects");
    let orders = sent(&steps[1], &mut visitor);
    assert_eq!(orders.path, "/orders/42/5");
    let header = |name: &str| {
        let found = orders.headers.iter().filter(|(own, _)| own == name);
        let values: Vec<_> = found
            .map(|(_, value)| value.to_str().expect("text"))
            .collect();
        values.join(" and ")
    };
    assert_eq!(header("authorization"), "Bearer secret");
    // A step's own header is in the place of the plan's.
    assert_eq!(header("accept"), "text/v1");
    assert_eq!(header("x-user"), "Jo \"x\" & co");
    assert_eq!(header("cookie"), "sid=9");
    // The next visitor is somebody else.
    let steps = script.begin(&mut visitor);
    let login = sent(&steps[0], &mut visitor);
    assert!(login.headers.iter().all(|(name, _)| name != "cookie"));
    answered(
        &mut visitor,
        &[("etag", "v2")],
        r#"{"token": 3, "id=1": 0}"#,
    );
    steps[0]
        .judge(&mut visitor, &login.path, &OK, Duration::ZERO)
        .expect("what it expects");
    let orders = sent(&steps[1], &mut visitor);
    assert_eq!(orders.path, "/orders/1/7");
}

#[test]
fn an_answer_is_held_against_each_check() {
    let script = script(
        r#"{"steps": [{"expect": {"status": [200, 404], "headers": {"Content-Type": "a/b"}, "body_contains": "yes",
            "body_matches": "^.y", "json": {"/a/0": 1}, "within_ms": 10}, "capture": {"x": {"json": "/x"}}}]}"#,
    );
    let mut visitor = script.visitor();
    let step = &script.begin(&mut visitor)[0];
    let request = sent(step, &mut visitor);
    let header = &[("content-type", "a/b")][..];
    let body = r#"{"yes": 0, "a": [1], "x": true}"#;
    let mut judged = |status: u16, headers: &[(&str, &str)], body: &str, ms: u64| {
        answered(&mut visitor, headers, body);
        let answer = Answer {
            status: Some(status),
            body_bytes: 0,
        };
        let took = Duration::from_millis(ms);
        match step.judge(&mut visitor, &request.path, &answer, took) {
            Ok(()) => "held".to_owned(),
            Err(unmet) => {
                assert_eq!(
                    unmet.kind == ErrorKind::Status,
                    unmet.name.starts_with("status")
                );
                unmet.name
            }
        }
    };
    let spaced = body.replacen('{', "{\n", 1);
    for (wants, found) in [
        ("body_matches", judged(404, header, body, 10)),
        ("body_matches", judged(200, header, &spaced, 10)),
        ("status 500", judged(500, header, body, 10)),
        (
            "header content-type",
            judged(200, &[("content-type", "a/c")], body, 10),
        ),
        ("body_contains", judged(200, header, "", 10)),
    ] {
        assert_eq!(found, wants);
    }
    let body = r#"{y"#;
    assert_eq!(judged(200, header, body, 1), "body_contains");
    let body = r#" yes {"a": [1]}"#;
    assert_eq!(judged(200, header, body, 1), "json /a/0", "no JSON");
}

#[test]
fn checks_in_json_in_time_and_captures_that_are_not_there() {
    let script = script(
        r#"{"steps": [{"expect": {"json": {"/a/0": 1}, "within_ms": 10}, "capture": {"x": {"json": "/x"}}}]}"#,
    );
    let mut visitor = script.visitor();
    let step = &script.begin(&mut visitor)[0];
    sent(step, &mut visitor);
    let mut judged = |body: &str, ms: u64| {
        answered(&mut visitor, &[], body);
        let judged = step.judge(&mut visitor, "/", &OK, Duration::from_millis(ms));
        judged.err().map(|unmet| unmet.name)
    };
    assert_eq!(judged(r#"{"a": [1], "x": 1}"#, 10), None);
    assert_eq!(
        judged(r#"{"a": [2], "x": 1}"#, 10).as_deref(),
        Some("json /a/0")
    );
    assert_eq!(
        judged(r#"{"a": [1], "x": 1}"#, 11).as_deref(),
        Some("within_ms")
    );
    assert_eq!(judged(r#"{"a": [1]}"#, 10).as_deref(), Some("capture x"));
    // What lies behind the first MiB is not there.
    let long = format!(r#"{{"a": [1], "x": 1, "pad": "{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(judged(&long, 10).as_deref(), Some("json /a/0"));
}

#[test]
fn a_captured_text_that_no_header_can_hold_is_an_error_and_no_second_header() {
    let script = script(
        r#"{"steps": [{"capture": {"x": {"json": "/x"}}}, {"path": "/b", "headers": {"x-y": "{{x}}"}}]}"#,
    );
    let mut visitor = script.visitor();
    let steps = script.begin(&mut visitor);
    sent(&steps[0], &mut visitor);
    answered(&mut visitor, &[], r#"{"x": "a\r\nhost: evil.example"}"#);
    steps[0]
        .judge(&mut visitor, "/", &OK, Duration::ZERO)
        .expect("captured");
    let unmet = steps[1].request(&mut visitor).err().expect("refused");
    assert_eq!(unmet.name, "header x-y of the request");
}

#[test]
fn flows_are_taken_by_their_weights_and_the_same_seed_takes_the_same() {
    let json = |seed: u64| {
        format!(
            r#"{{"seed": {seed}, "flows": [{{"name": "a", "weight": 3, "steps": [{{"path": "/a"}}]}},
                {{"name": "b", "steps": [{{"path": "/b"}}]}}]}}"#
        )
    };
    let paths = |seed: u64| -> String {
        let script = script(&json(seed));
        let mut visitor = script.visitor();
        (0..4_000)
            .map(|_| {
                let steps = script.begin(&mut visitor);
                let path = sent(&steps[0], &mut visitor).path;
                path.chars().last().unwrap_or('?')
            })
            .collect()
    };
    let first = paths(1);
    assert_eq!(first, paths(1));
    assert_ne!(first, paths(2));
    let share = first.matches('a').count() as f64 / 4_000.0;
    // Six standard deviations of the mean of 4,000.
    assert!((share - 0.75).abs() < 0.042, "{share}");
    assert_eq!(script(&json(1)).names(), ["a/GET /a", "b/GET /b"]);
}

#[test]
fn parts_share_counters_and_rows_and_have_other_random_data() {
    let values = |part: &str| -> Vec<[String; 3]> {
        let script = script(&format!(
            r#"{{"part": "{part}", "connections": 4, "data": {{"n": {{"counter": {{}}}}, "r": {{"rows": {{"json": [{{"x": 1}}, {{"x": 2}}, {{"x": "c"}}]}}}},
                "u": {{"uuid": {{}}}}}}, "steps": [{{"path": "/{{{{n}}}}/{{{{r.x}}}}/{{{{u}}}}"}}]}}"#
        ));
        let mut visitor = script.visitor();
        (0..3)
            .map(|_| {
                let steps = script.begin(&mut visitor);
                let path = sent(&steps[0], &mut visitor).path;
                let parts: Vec<_> = path[1..].split('/').map(str::to_owned).collect();
                parts.try_into().expect("three")
            })
            .collect()
    };
    let (one, two) = (values("1/2"), values("2/2"));
    let column =
        |of: &[[String; 3]], at: usize| of.iter().map(|row| row[at].clone()).collect::<Vec<_>>();
    assert_eq!(column(&one, 0), ["1", "3", "5"]);
    assert_eq!(column(&two, 0), ["2", "4", "6"]);
    assert_eq!(column(&one, 1), ["1", "c", "2"]);
    assert_eq!(column(&two, 1), ["2", "1", "c"]);
    let all: BTreeSet<_> = column(&one, 2).into_iter().chain(column(&two, 2)).collect();
    assert_eq!(all.len(), 6);
    for uuid in &all {
        let marks: Vec<_> = uuid.match_indices('-').map(|(at, _)| at).collect();
        assert_eq!(
            (uuid.len(), marks.as_slice()),
            (36, &[8, 13, 18, 23][..]),
            "{uuid}"
        );
        assert_eq!(uuid.as_bytes()[14], b'4', "{uuid}");
        assert!(b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
    }
}

#[test]
fn random_values_are_within_their_bounds() {
    let script = script(
        r#"{"data": {"i": {"integer": {"from": -2, "to": 2}}, "c": {"choice": ["a", "b"]}, "t": {"text": {"length": 8}}},
            "steps": [{"path": "/{{i}}/{{c}}/{{t}}"}]}"#,
    );
    let mut visitor = script.visitor();
    let mut seen = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
    for _ in 0..500 {
        let steps = script.begin(&mut visitor);
        let path = sent(&steps[0], &mut visitor).path;
        for (seen, part) in seen.iter_mut().zip(path[1..].split('/')) {
            seen.insert(part.to_owned());
        }
    }
    assert_eq!(seen[0].len(), 5);
    assert_eq!(seen[1].len(), 2);
    assert!(seen[2].len() > 400 && seen[2].iter().all(|text| text.len() == 8));
}

#[test]
fn what_is_wrong_names_its_field_and_says_what_it_wants() {
    for (json, wants) in [
        (
            r#"{"steps": [{}], "path": "/x"}"#,
            "path: is of a plan with one request",
        ),
        (
            r#"{"steps": [{}], "body": "x"}"#,
            "body: is of a plan with one request",
        ),
        (
            r#"{"data": {"a": {"uuid": {}}}}"#,
            "data: is for `steps` or `flows`",
        ),
        (
            r#"{"steps": [{}], "flows": [{"name": "a", "steps": [{}]}]}"#,
            "steps: are of a plan without `flows`",
        ),
        (
            r#"{"steps": [{}, {}]}"#,
            "steps: have two steps `GET /`: give one of them another `name`",
        ),
        (
            r#"{"flows": [{"name": "a", "steps": []}]}"#,
            "flows[0].steps: wants at least one",
        ),
        (
            r#"{"flows": [{"name": "", "steps": [{}]}]}"#,
            "flows[0].name: wants 1 to 100",
        ),
        (
            r#"{"flows": [{"name": "a", "weight": 0, "steps": [{}]}]}"#,
            "flows[0].weight: wants 1 to 1000",
        ),
        (
            r#"{"steps": [{"method": "A B"}]}"#,
            "steps[0].method: wants an HTTP method",
        ),
        (
            r#"{"steps": [{"think_ms": 60001}]}"#,
            "steps[0].think_ms: wants at most 60000",
        ),
        (
            r#"{"steps": [{"path": "x"}]}"#,
            "steps[0].path: wants a path",
        ),
        (
            r#"{"steps": [{"path": "//evil/{{a}}"}], "data": {"a": {"uuid": {}}}}"#,
            "steps[0].path: wants a path",
        ),
        (
            r#"{"steps": [{"path": "/{{a"}]}"#,
            "steps[0].path: has a `{{` without its `}}`",
        ),
        (
            r#"{"steps": [{"path": "/{{a}}"}]}"#,
            "steps[0].path: `{{a}}`: is neither in `data` nor captured by a step before; there is nothing",
        ),
        (
            r#"{"steps": [{"path": "/{{b}}", "capture": {"b": {"json": "/b"}}}], "data": {"a": {"uuid": {}}}}"#,
            "steps[0].path: `{{b}}`: is neither in `data` nor captured by a step before; there is a",
        ),
        (
            r#"{"steps": [{"path": "/{{a|upper}}"}], "data": {"a": {"uuid": {}}}}"#,
            "there is no filter `upper`, only `json`",
        ),
        (
            r#"{"steps": [{"path": "/{{a.x}}"}], "data": {"a": {"uuid": {}}}}"#,
            "`{{a.x}}`: it has no columns",
        ),
        (
            r#"{"steps": [{"path": "/{{a.x}}"}], "data": {"a": {"rows": {"csv": "y\n1"}}}}"#,
            "`{{a.x}}`: its columns are y",
        ),
        (
            r#"{"steps": [{"path": "/{{a}}"}], "data": {"a": {"rows": {"csv": "y\n1"}}}}"#,
            "it has the columns y: name one",
        ),
        (
            r#"{"steps": [{"headers": {"host": "x"}}]}"#,
            "steps[0].headers.host: is set by the load tester itself",
        ),
        (
            r#"{"steps": [{"headers": {"x": "a\nb"}}]}"#,
            "steps[0].headers.x: wants visible characters",
        ),
        (
            r#"{"steps": [{"expect": {"status": [99]}}]}"#,
            "steps[0].expect.status: wants statuses",
        ),
        (
            r#"{"steps": [{"expect": {"headers": {"a b": "x"}}}]}"#,
            "steps[0].expect.headers.a b: wants the name of a header",
        ),
        (
            r#"{"steps": [{"expect": {"body_matches": "("}}]}"#,
            "steps[0].expect.body_matches: `(` is no regular expression: error: unclosed group",
        ),
        (
            r#"{"steps": [{"expect": {"json": {"a": 1}}}]}"#,
            "steps[0].expect.json: wants a JSON Pointer",
        ),
        (
            r#"{"steps": [{"expect": {"within_ms": 0}}]}"#,
            "steps[0].expect.within_ms: wants more than 0",
        ),
        (
            r#"{"steps": [{"capture": {"a b": {"json": ""}}}]}"#,
            "steps[0].capture.a b: wants a name",
        ),
        (
            r#"{"steps": [{"capture": {"a": {"json": ""}}}], "data": {"a": {"uuid": {}}}}"#,
            "steps[0].capture.a: wants a name",
        ),
        (
            r#"{"steps": [{"capture": {"a": {"regex": "["}}}]}"#,
            "steps[0].capture.a: `[` is no regular expression",
        ),
        (
            r#"{"steps": [{}], "data": {"1": {"uuid": {}}}}"#,
            "data.1: wants a name",
        ),
        (
            r#"{"steps": [{}], "data": {"a": {"counter": {"step": 0}}}}"#,
            "data.a.counter.step: wants 1 or more",
        ),
        (
            r#"{"steps": [{}], "data": {"a": {"counter": {"step": 4611686018427387904}}}}"#,
            "data.a.counter: would run out of numbers",
        ),
        (
            r#"{"steps": [{}], "data": {"a": {"integer": {"from": 2, "to": 1}}}}"#,
            "data.a.integer: wants `from` at or below `to`",
        ),
        (
            r#"{"steps": [{}], "data": {"a": {"choice": []}}}"#,
            "data.a.choice: wants at least one",
        ),
        (
            r#"{"steps": [{}], "data": {"a": {"text": {"length": 0}}}}"#,
            "data.a.text.length: wants 1 to 8192",
        ),
        (
            r#"{"steps": [{}], "data": {"a": {"rows": {}}}}"#,
            "data.a.rows: wants either `csv` or `json`",
        ),
        (
            r#"{"steps": [{}], "data": {"a": {"rows": {"file": "a.csv"}}}}"#,
            "data.a.rows.file: `a.csv` is read by the program",
        ),
        (
            r#"{"steps": [{}], "data": {"a": {"rows": {"csv": "x,y\n1"}}}}"#,
            "data.a.rows.csv: CSV error: record 1 (line: 2",
        ),
        (
            r#"{"steps": [{}], "data": {"a": {"rows": {"csv": "x,x\n1,2"}}}}"#,
            "data.a.rows.csv: has the column `x` twice",
        ),
        (
            r#"{"steps": [{}], "data": {"a": {"rows": {"csv": "a b\n1"}}}}"#,
            "data.a.rows.csv: has the column `a b`",
        ),
        (
            r#"{"steps": [{}], "data": {"a": {"rows": {"csv": "x"}}}}"#,
            "data.a.rows.csv: wants a line of names and at least one row",
        ),
        (
            r#"{"steps": [{}], "data": {"a": {"rows": {"json": [{"x": 1}, {"y": 1}]}}}}"#,
            "data.a.rows.json[1]: wants `x`",
        ),
        (
            r#"{"steps": [{}], "data": {"a": {"rows": {"json": [{"x": 1}, {}]}}}}"#,
            "data.a.rows.json[1]: wants the names of the first row: x",
        ),
    ] {
        let error = refused(json);
        assert!(error.contains(wants), "{json}: {error}");
    }
    let many: Vec<_> = (0..21)
        .map(|at| format!(r#"{{"path": "/{at}"}}"#))
        .collect();
    let error = refused(&format!(r#"{{"steps": [{}]}}"#, many.join(",")));
    assert_eq!(error, "steps: want at most 20 steps, have 21");
}

#[test]
fn seeds_share_no_data_and_a_uuid_is_of_none() {
    let values = |seed: u64| -> BTreeSet<String> {
        let script = script(&format!(
            r#"{{"seed": {seed}, "data": {{"a": {{"integer": {{"from": 0, "to": 99999999}}}}}}, "steps": [{{"path": "/{{{{a}}}}"}}]}}"#
        ));
        (0..40)
            .map(|_| {
                let mut visitor = script.visitor();
                let steps = script.begin(&mut visitor);
                sent(&steps[0], &mut visitor).path
            })
            .collect()
    };
    let all: Vec<_> = (0..4).map(values).collect();
    assert_eq!(values(0), all[0], "the same seed draws the same");
    for (place, one) in all.iter().enumerate() {
        for other in &all[..place] {
            assert_eq!(one.intersection(other).count(), 0);
        }
    }
    let uuid = || {
        let script = script(r#"{"data": {"a": {"uuid": {}}}, "steps": [{"path": "/{{a}}"}]}"#);
        let mut visitor = script.visitor();
        let steps = script.begin(&mut visitor);
        sent(&steps[0], &mut visitor).path
    };
    assert_ne!(uuid(), uuid());
}

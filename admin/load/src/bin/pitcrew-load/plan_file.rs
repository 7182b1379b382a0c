//! `--plan FILE`: target, plan and thresholds as TOML or JSON.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use pitcrew_load::{Plan, Source};
use serde::Deserializer;

/// The largest plan and the largest file of rows: 8 MiB, where a body may have 1.
const MAX_BYTES: u64 = 8 << 20;

/// What is wrong names the field, or the line where it is no TOML or JSON at all.
pub(super) fn read(path: &Path) -> Result<Plan, String> {
    let name = path.display();
    let text = text_of(path)?;
    let plan = match path.extension().and_then(|ending| ending.to_str()) {
        Some("json") => {
            let mut json = serde_json::Deserializer::from_str(&text);
            parsed(&mut json).and_then(|plan| match json.end() {
                Ok(()) => Ok(plan),
                Err(error) => Err(format!("there is something behind the plan: {error}")),
            })
        }
        Some("toml") => match toml::Deserializer::parse(&text) {
            Ok(toml) => parsed(toml),
            Err(error) => Err(error.to_string().trim_end().to_owned()),
        },
        _ => return Err(format!("{name} wants a name that ends in .toml or .json")),
    };
    plan.and_then(|plan| with_rows(plan, path))
        .map_err(|error| format!("{name}: {error}"))
}

/// Reads the files of rows, which lie beside the plan.
fn with_rows(mut plan: Plan, path: &Path) -> Result<Plan, String> {
    rows_of(&mut plan, path, "")?;
    for (number, scenario) in plan.scenarios.iter_mut().enumerate() {
        rows_of(scenario, path, &format!("scenarios[{number}]."))?;
    }
    Ok(plan)
}

/// `at` stands before the names of the fields.
fn rows_of(plan: &mut Plan, path: &Path, at: &str) -> Result<(), String> {
    let all = [
        ("http", plan.http.as_mut().map(|plan| &mut plan.visits.data)),
        (
            "postgres",
            plan.postgres.as_mut().map(|plan| &mut plan.visits.data),
        ),
        (
            "websocket",
            plan.websocket.as_mut().map(|plan| &mut plan.visits.data),
        ),
    ];
    let named = all.into_iter().flat_map(|(of, data)| {
        data.into_iter()
            .flatten()
            .map(move |(name, one)| (of, name, one))
    });
    for (of, name, source) in named {
        let Source::Rows(rows) = source else {
            continue;
        };
        let Some(file) = rows.file.take() else {
            continue;
        };
        let wrong = |what: String| format!("{at}{of}.data.{name}.rows.file: {what}");
        if rows.csv.is_some() || rows.json.is_some() {
            return Err(wrong(
                "is there beside `csv` or `json`: leave one out".to_owned(),
            ));
        }
        let file = path.parent().unwrap_or_else(|| Path::new("")).join(file);
        let text = text_of(&file).map_err(wrong)?;
        match file.extension().and_then(|ending| ending.to_str()) {
            Some("csv") => rows.csv = Some(text),
            Some("json") => {
                let list = serde_json::from_str(&text).map_err(|error| {
                    wrong(format!("{} is no list of objects: {error}", file.display()))
                })?;
                rows.json = Some(list);
            }
            _ => return Err(wrong("wants a name that ends in .csv or .json".to_owned())),
        }
    }
    Ok(())
}

/// A whole file, if it is not too large.
fn text_of(path: &Path) -> Result<String, String> {
    let name = path.display();
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| format!("cannot read {name}: {error}"))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("{name} is larger than {} MiB", MAX_BYTES >> 20));
    }
    Ok(text)
}

fn parsed<'de, D>(text: D) -> Result<Plan, String>
where
    D: Deserializer<'de>,
{
    serde_path_to_error::deserialize(text).map_err(|error| {
        let field = error.path().to_string();
        let error = error.into_inner().to_string();
        let error = error.trim_end();
        if field == "." {
            error.to_owned()
        } else {
            format!("{field}: {error}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_plan_in_both_forms_is_the_same() {
        let toml = r#"
            target = "http://127.0.0.1:3000"
            thresholds = ["p99 < 500ms", "error_rate < 1% over 10s"]
            [http]
            path = "/orders"
            headers = { accept = "*/*" }
            [[http.open.stages]]
            duration_s = 10.0
            rate_per_s = 100.0
        "#;
        let json = r#"{
            "target": "http://127.0.0.1:3000",
            "thresholds": ["p99 < 500ms", "error_rate < 1% over 10s"],
            "http": {
                "path": "/orders",
                "headers": {"accept": "*/*"},
                "open": {"stages": [{"duration_s": 10, "rate_per_s": 100}]}
            }
        }"#;
        let toml = parsed(toml::Deserializer::parse(toml).expect("TOML")).expect("a plan");
        let json = parsed(&mut serde_json::Deserializer::from_str(json)).expect("a plan");
        assert_eq!(format!("{toml:?}"), format!("{json:?}"));
        assert_eq!(json.http.map(|http| http.check()), Some(Ok(())));
        assert_eq!(json.thresholds.len(), 2);
    }

    #[test]
    fn what_is_wrong_names_its_field() {
        let wrong =
            |json: &str| parsed(&mut serde_json::Deserializer::from_str(json)).expect_err(json);
        for (json, wants) in [
            (
                r#"{"scenarios": [{}, {"http": {"requests": "x"}}]}"#,
                "scenarios[1].http.requests: invalid type",
            ),
            (
                r#"{"target": "a", "htpp": {}}"#,
                "htpp: unknown field `htpp`",
            ),
            (
                r#"{"target": "a", "http": {"conections": 4}}"#,
                "http.conections: unknown field",
            ),
            (
                r#"{"target": "a", "http": {"connections": -4}}"#,
                "http.connections: invalid value",
            ),
            (
                r#"{"target": "a", "http": {"open": {"stages": [{"duration_s": 1, "rate_per_s": "x"}]}}}"#,
                "http.open.stages[0].rate_per_s: invalid type",
            ),
            (
                r#"{"target": "a", "http": {}, "thresholds": ["p99 < 1ms", "p98 < 1ms"]}"#,
                "thresholds[1]: `p98 < 1ms` is no threshold",
            ),
            (
                r#"{"target": "a", "http": {"steps": []}}"#,
                "http.steps: wants at least one",
            ),
            (
                r#"{"target": "a", "postgres": {"flows": []}}"#,
                "postgres.flows: wants at least one",
            ),
            (
                r#"{"target": "a", "http": {"part": "0/1"}}"#,
                "http.part: `0/1` is no part",
            ),
        ] {
            let error = wrong(json);
            assert!(error.contains(wants), "{json}: {error}");
        }
    }
}

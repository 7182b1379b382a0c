//! The OpenAPI document against the router: every operation is there, and what it answers is what the document says.

use super::support::*;

/// Whether a value is what a schema of ours says. Only the keywords that are written are known; another one is a fault.
fn fits(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let schema = schema.as_object().expect("a schema");
    for (keyword, says) in schema {
        let is_right = match keyword.as_str() {
            "type" => match says.as_str().expect("a type") {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "null" => value.is_null(),
                "integer" => value.is_i64() || value.is_u64(),
                "number" => value.is_number(),
                other => panic!("no such type: {other}"),
            },
            "enum" => says.as_array().expect("a list").contains(value),
            "anyOf" => {
                let any = says.as_array().expect("a list");
                let faults: Vec<_> = any.iter().map(|one| fits(one, value, at)).collect();
                if faults.iter().all(Result::is_err) {
                    return faults.into_iter().next().expect("one");
                }
                true
            }
            "items" => {
                for (place, item) in value.as_array().into_iter().flatten().enumerate() {
                    fits(says, item, &format!("{at}[{place}]"))?;
                }
                true
            }
            "required" => says
                .as_array()
                .expect("a list")
                .iter()
                .all(|name| value.get(name.as_str().expect("text")).is_some()),
            "properties" => {
                for (name, says) in says.as_object().expect("properties") {
                    if let Some(value) = value.get(name) {
                        fits(says, value, &format!("{at}.{name}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = schema["properties"].as_object().expect("properties");
                let mut more = value.as_object().into_iter().flatten();
                match says {
                    Value::Bool(may) => *may || more.all(|(name, _)| known.contains_key(name)),
                    says => {
                        for (name, value) in more.filter(|(name, _)| !known.contains_key(*name)) {
                            fits(says, value, &format!("{at}.{name}"))?;
                        }
                        true
                    }
                }
            }
            other => panic!("the test does not know `{other}`"),
        };
        if !is_right {
            return Err(format!("{at}: {keyword} {says}, but {value}"));
        }
    }
    Ok(())
}

#[test]
fn the_tests_own_validator_tells_wrong_from_right() {
    let schema = json!({"type": "object", "properties": {"n": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
        "required": ["n"], "additionalProperties": false});
    for right in [json!({"n": 1}), json!({"n": null})] {
        assert_eq!(fits(&schema, &right, "$"), Ok(()));
    }
    for wrong in [
        json!({}),
        json!({"n": "1"}),
        json!({"n": 1.5}),
        json!({"n": 1, "m": 1}),
        json!([]),
    ] {
        assert!(fits(&schema, &wrong, "$").is_err(), "{wrong}");
    }
}

fn answered<'a>(operation: &'a Operation, answer: &Answer) -> &'a Value {
    let status = answer.status.as_u16().to_string();
    let described = &operation.described["responses"][&status];
    assert!(
        !described.is_null(),
        "{operation:?} answered {status}: {}",
        answer.text
    );
    described
}

/// Whether an answer is one that the document has, in kind and in form.
fn check(document: &Value, operation: &Operation, answer: &Answer) {
    let described = answered(operation, answer);
    let Some(kinds) = described["content"].as_object() else {
        assert_eq!(answer.text, "", "{operation:?}");
        return;
    };
    let kind = answer.headers[header::CONTENT_TYPE].to_str().expect("text");
    let content = kinds
        .get(kind)
        .unwrap_or_else(|| panic!("{operation:?} answers {kind}"));
    if kind.ends_with("json") {
        let schema = match content["schema"]["$ref"].as_str() {
            None => &content["schema"],
            Some(name) => document
                .pointer(name.trim_start_matches('#'))
                .expect("a schema"),
        };
        let told = fits(schema, &answer.json(), "$");
        let (method, path) = (&operation.method, &operation.path);
        assert_eq!(told, Ok(()), "{method} {path}");
        assert_eq!(
            fits(schema, &content["example"], "$"),
            Ok(()),
            "{method} {path}: the example"
        );
    }
}

#[tokio::test]
async fn every_operation_answers_as_the_document_says() {
    let (app, admin) = app(|builder| builder);
    visit(&app, "/items/1").await;
    let document = read(&app, "/openapi.json").await;
    for operation in operations(&app).await {
        if operation.is_stream() {
            continue;
        }
        let Operation { method, path, .. } = operation.clone();
        let body = operation.dry();
        check(
            &document,
            &operation,
            &ask(&app, method.clone(), &path, body.clone()).await,
        );
        let wrong = Some(json!({"nonsense": true}));
        check(
            &document,
            &operation,
            &ask(&app, method.clone(), &path, wrong).await,
        );
        let query = format!("{path}?nonsense=1&window=2h&limit=x&cursor=%ff");
        check(
            &document,
            &operation,
            &ask(&app, method, &query, body).await,
        );
    }
    admin.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn bodies_of_wrong_types_are_problems_and_never_a_fault_of_ours() {
    let (app, admin) = app(|builder| builder);
    let document = read(&app, "/openapi.json").await;
    for operation in operations(&app).await {
        let Some(example) = operation.dry() else {
            continue;
        };
        let names: Vec<_> = example
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect();
        for name in names.iter().filter(|name| *name != "dry_run") {
            for odd in [
                json!(null),
                json!(-1),
                json!("\u{0}"),
                json!([[]]),
                json!({"a": {}}),
                json!(1e308),
            ] {
                let mut body = example.clone();
                body[name] = odd;
                let answer = ask(&app, operation.method.clone(), &operation.path, Some(body)).await;
                check(&document, &operation, &answer);
            }
        }
    }
    admin.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn a_document_that_has_not_changed_is_not_sent_again() {
    let (app, _admin) = app(|builder| builder);
    let first = ask(&app, Method::GET, "/openapi.json", None).await;
    assert_eq!(first.json()["openapi"], "3.1.0");
    assert_eq!(first.json()["servers"][0]["url"], "/performance");
    let tag = first.headers[header::ETAG]
        .to_str()
        .expect("text")
        .to_owned();
    let again = |tags: &str| {
        let request = request(
            Method::GET,
            "/performance/openapi.json",
            Some(OPERATOR),
            None,
        );
        with(request, "if-none-match", tags)
    };
    for tags in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let answer = send(&app, again(&tags)).await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (StatusCode::NOT_MODIFIED, ""),
            "{tags}"
        );
    }
    assert_eq!(send(&app, again("\"x\"")).await.status, StatusCode::OK);
}

//! The OpenAPI document against the router: every operation is there, and what it answers is what the document says.

use super::support::*;

/// Where a value is not what a schema of the document says.
fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let whole = json!({"components": document["components"], "allOf": [schema]});
    let validator = jsonschema::validator_for(&whole).expect("a schema");
    let faults = validator.iter_errors(value);
    faults
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect()
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
        let (method, path) = (&operation.method, &operation.path);
        for value in [&answer.json(), &content["example"]] {
            let found = faults(document, &content["schema"], value);
            assert!(found.is_empty(), "{method} {path}: {found:?} in {value}");
        }
    }
}

/// Every reference in a part of the document.
fn references(part: &Value, found: &mut Vec<String>) {
    match part {
        Value::Object(fields) => {
            found.extend(
                fields
                    .get("$ref")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            );
            fields.values().for_each(|part| references(part, found));
        }
        Value::Array(parts) => parts.iter().for_each(|part| references(part, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_body_of_a_load_test_is_a_plan_as_the_document_has_it() {
    let (app, admin) = app(|builder| builder.self_address("http://127.0.0.1:1"));
    let document = read(&app, "/openapi.json").await;
    for (name, schema) in document["components"]["schemas"]
        .as_object()
        .expect("schemas")
    {
        assert!(jsonschema::meta::is_valid(schema), "{name}: {schema:#}");
    }
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.contains(&"#/components/schemas/HttpPlan".to_owned()));
    for to in found {
        let pointer = to.strip_prefix('#').expect("within the document");
        assert!(document.pointer(pointer).is_some(), "{to} leads nowhere");
    }
    let body =
        &document["paths"]["/load-test"]["post"]["requestBody"]["content"]["application/json"];
    let one = json!({"connections": 1, "requests": 1});
    for plan in [
        json!({}),
        body["example"]["plan"].clone(),
        json!({"path": "/items/1", "open": {"stages": [{"duration_s": 1, "rate_per_s": 5}]}}),
        json!({"steps": [{"path": "/items/{{n}}", "expect": {"status": [200]}}], "data": {"n": {"counter": {}}}}),
        json!({"http": one}),
        json!({"websocket": {"path": "/chat", "reply": "any"}}),
        json!({"scenarios": [{"name": "a", "http": one}, {"name": "b", "start_s": 1, "websocket": one}]}),
    ] {
        let asked = json!({"plan": plan, "dry_run": true});
        let found = faults(&document, &body["schema"], &asked);
        assert!(found.is_empty(), "{plan}: {found:?}");
        let taken = ask(&app, Method::POST, "/load-test", Some(asked)).await;
        assert_eq!(taken.status, StatusCode::OK, "{plan}: {}", taken.text);
    }
    for plan in [
        json!(null),
        json!([]),
        json!({"conections": 1}),
        json!({"connections": 0}),
        json!({"open": {"stages": [{"duration_s": 1, "rate_per_s": -5}]}}),
        json!({"http": {"path": 1}}),
        json!({"http": one, "path": "/"}),
        json!({"scenarios": [{"name": "a", "http": {"duration_s": 1e9}}]}),
    ] {
        let asked = json!({"plan": plan, "dry_run": true});
        let found = faults(&document, &body["schema"], &asked);
        assert!(!found.is_empty(), "it fits: {plan}");
        let refused = ask(&app, Method::POST, "/load-test", Some(asked)).await;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{plan}: {}",
            refused.text
        );
    }
    admin.shutdown(Duration::from_secs(1)).await;
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

#[tokio::test]
async fn what_an_action_and_a_large_document_have_in_their_heads_is_in_the_document() {
    let (app, _admin) = app(|builder| builder);
    let (mut actions, mut tagged) = (0, 0);
    for operation in operations(&app).await {
        let described = &operation.described;
        let parameters = described["parameters"].as_array().expect("a list");
        let takes = |name: &str| parameters.iter().any(|one| one["name"] == name);
        assert_eq!(
            takes("Idempotency-Key"),
            operation.role() == "operator",
            "{operation:?}"
        );
        actions += usize::from(takes("Idempotency-Key"));
        let later = &described["responses"]["202"];
        assert!(
            later.is_null() || later["headers"]["Location"]["required"] == true,
            "{operation:?}"
        );
        let has_tag = !described["responses"]["200"]["headers"]["ETag"].is_null();
        let may_be_unchanged = !described["responses"]["304"].is_null();
        assert_eq!(
            (has_tag, takes("If-None-Match")),
            (may_be_unchanged, may_be_unchanged),
            "{operation:?}"
        );
        tagged += usize::from(has_tag);
    }
    assert!(actions > 12 && tagged > 8, "{actions} {tagged}");
}

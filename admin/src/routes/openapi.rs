//! `GET /openapi.json`: what the router can do, made from the same declarations as the router (OpenAPI 3.1).

use axum::Json;
use axum::extract::{OriginalUri, State};
use http::Method;
use serde_json::{Map, Value, json};

use super::operation::{Access, Good, Operation, WRONG_TOKEN};
use super::{App, plan_schema, shape};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/openapi.json", "This document (OpenAPI 3.1).", document)
            .tagged()
            .gives(json!({"openapi": "3.1.0", "info": {}, "paths": {}})),
    ]
}

async fn document(State(_): App, OriginalUri(uri): OriginalUri) -> Json<Value> {
    let prefix = uri.path().strip_suffix("/openapi.json").unwrap_or_default();
    Json(describe(&super::operations(), prefix))
}

fn describe(operations: &[Operation], prefix: &str) -> Value {
    let mut paths = Map::new();
    for operation in operations {
        let methods = paths.entry(operation.path).or_insert_with(|| json!({}));
        methods[operation.method.as_str().to_ascii_lowercase()] = one(operation);
    }
    let mut schemas = plan_schema::components();
    schemas.insert(
        "Problem".to_owned(),
        shape::schema(&problem(500, "the reason"), false),
    );
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "pitcrew admin",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Shows and tends a running service. Times are RFC 3339 in UTC; a number's unit is in its name; \
                            what is not known is null. No answer is to be stored.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": if prefix.is_empty() { "/" } else { prefix }}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": crate::security::sessions::COOKIE},
            },
            "schemas": schemas,
        },
    })
}

/// RFC 9457.
fn problem(status: u16, detail: &str) -> Value {
    let title = http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("error");
    json!({"type": "about:blank", "title": title, "status": status, "detail": detail})
}

fn one(operation: &Operation) -> Value {
    let path = operation.path.trim_start_matches('/');
    let id = format!("{}_{path}", operation.method.as_str().to_ascii_lowercase())
        .replace(['{', '}'], "")
        .replace(['/', '-', '.'], "_");
    let tag = path.split('/').next().unwrap_or_default();
    let mut described = json!({
        "operationId": id,
        "tags": [tag],
        "summary": operation.says,
        "parameters": parameters(operation),
        "responses": responses(operation),
        "security": match operation.access {
            Access::Public => json!([]),
            Access::Reader | Access::Operator => json!([{"bearer": []}, {"session": []}]),
        },
        "x-role": match operation.access {
            Access::Public => "anybody",
            Access::Reader => "reader",
            Access::Operator => "operator",
        },
    });
    if let Some(written) = &operation.body {
        let is_needed = written
            .as_object()
            .is_some_and(|fields| fields.keys().any(|name| !name.ends_with('~')));
        described["requestBody"] = json!({
            "required": is_needed,
            "content": {"application/json": content(written, true)},
        });
    }
    described
}

fn content(written: &Value, closed: bool) -> Value {
    json!({"schema": shape::schema(written, closed), "example": shape::example(written)})
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let in_path = operation
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            let example = match name {
                "rule" => "cpu",
                "name" => "app",
                "route" => "/orders/{id}",
                "file" => "app.js",
                "key" => "missing_primary_key:public.orders",
                _ => "1",
            };
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}, "example": example})
        });
    let in_query = operation.query.iter().map(|parameter| {
        json!({
            "name": parameter.name, "in": "query", "required": false, "description": parameter.says,
            "schema": shape::schema(&parameter.written, true), "example": shape::example(&parameter.written),
        })
    });
    let mut in_header = Vec::new();
    if operation.access == Access::Operator {
        in_header.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false, "example": "4f1c2d9a",
            "description": "Sent again with the same body, the request gets the answer of then (`Idempotent-Replayed: true`), and nothing is done again.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        }));
    }
    if operation.is_tagged {
        in_header.push(json!({
            "name": "If-None-Match", "in": "header", "required": false, "example": "\"9f86d081884c7d65\"",
            "description": "The `ETag` of what one has: 304 where it has not changed.",
            "schema": {"type": "string"},
        }));
    }
    in_path.chain(in_query).chain(in_header).collect()
}

fn responses(operation: &Operation) -> Value {
    let mut responses = Map::new();
    for Good {
        status,
        kind,
        written,
    } in &operation.good
    {
        let reason = http::StatusCode::from_u16(*status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("OK");
        let response = responses
            .entry(status.to_string())
            .or_insert_with(|| json!({"description": reason, "content": {}}));
        response["content"][*kind] = content(written, false);
        let text = json!({"type": "string"});
        if *status == 202 {
            let says = "Where to follow it, relative to what was asked.";
            response["headers"] =
                json!({"Location": {"required": true, "description": says, "schema": text}});
        } else if operation.is_tagged {
            let says = "For `If-None-Match`.";
            response["headers"] =
                json!({"ETag": {"required": true, "description": says, "schema": text}});
        }
    }
    if operation.is_tagged {
        responses.insert(
            "304".to_owned(),
            json!({"description": "Not changed since the `ETag` in `If-None-Match`."}),
        );
    }
    if let Some(says) = operation.leads {
        let there = json!({"Location": {"required": true, "schema": {"type": "string"}}});
        responses.insert(
            "303".to_owned(),
            json!({"description": says, "headers": there}),
        );
    }
    for (status, says) in refusals(operation) {
        responses.entry(status.to_string()).or_insert_with(|| {
            json!({"description": says, "content": {"application/problem+json": {
                "schema": shape::reference("Problem"), "example": problem(status, says),
            }}})
        });
    }
    Value::Object(responses)
}

/// The problems that a route has of its own, and those that come from what it is.
fn refusals(operation: &Operation) -> Vec<(u16, &'static str)> {
    let mut refused = operation.refused.clone();
    if operation.access != Access::Public {
        refused.push((401, "No token of this app, and no session."));
        refused.push((
            404,
            "There is no such thing, or this app gave the admin router no such part.",
        ));
        refused.push((429, WRONG_TOKEN));
        refused.push((503, "A part that it needs does not answer."));
        refused.push((504, "The database took too long."));
    }
    if operation.access == Access::Operator {
        refused.push((
            403,
            "A reader asks for a change, or a page of another origin does.",
        ));
        refused.push((409, "The same is under way."));
    }
    if operation.method != Method::GET {
        refused.push((408, "The body took too long."));
        refused.push((413, "The body is too large."));
        refused.push((415, "The body is not `application/json`."));
        refused.push((
            422,
            "A value cannot be used; the detail says which, and why.",
        ));
    }
    refused.push((400, "The request cannot be read."));
    refused.push((414, "Path and query are too long."));
    refused.push((421, "The host name is none of this app."));
    refused.push((431, "Too many header fields."));
    refused.push((500, "A fault of this app, which its log tells of."));
    refused
}

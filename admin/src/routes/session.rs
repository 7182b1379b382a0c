//! `GET`, `POST /login` and `POST /logout`: a session for browsers, whose `EventSource` sends no bearer token.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Extension, FromRequest, OriginalUri, Request, State};
use axum::response::{Html, IntoResponse, Response};
use axum::{Form, Json};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::App;
use super::operation::Operation;
use crate::Inner;
use crate::security::identity::{Identity, Role};
use crate::security::problem::{self, Problem};
use crate::security::{cross_site, host, sessions};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/login", "A form that asks for a token.", form)
            .public()
            .gives_as(200, "text/html; charset=utf-8", json!("<!doctype html>...")),
        Operation::post(
            "/login",
            "Begins a session: a cookie that is HttpOnly and SameSite=Strict. It ends after an hour without use, at the \
             latest after 12 hours, with POST /logout, or when its token goes.",
            log_in,
        )
        .public()
        .takes(json!({"token": "a token of this app"}))
        .gives(json!({"name": "operator-1", "role": "@reader|operator", "expires_within_s": 43_200}))
        .leads("To the dashboard, where the form sent it.")
        .refuses(401, "The token is none of this app.")
        .refuses(403, "A page of another origin sent it.")
        .refuses(429, "Too many logins failed."),
        Operation::post("/logout", "Ends the session of the cookie that is sent.", log_out)
            .public()
            .gives(json!({"ended": true})),
        Operation::get("/whoami", "Who asks, as the audit names them.", whoami)
            .gives(json!({"name": "operator-1", "role": "@reader|operator"})),
    ]
}

/// No script, no style, no outside request: it works under the policy that all answers have, less the form itself.
const FORM: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>pitcrew: log in</title>\
    <meta name=\"viewport\" content=\"width=device-width\"><main><h1>Log in</h1><form method=\"post\">\
    <input autocomplete=\"username\" value=\"pitcrew\" readonly hidden>\
    <p><label>Token <input type=\"password\" name=\"token\" autocomplete=\"current-password\" required autofocus></label>\
    <p><button>Log in</button></form></main></html>";
/// What a page with a form may do: send it here.
pub(crate) const FORM_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// With `no-referrer` a browser would send the form with `Origin: null`, as if from elsewhere.
const FORM_REFERRER: HeaderValue = HeaderValue::from_static("same-origin");

async fn form() -> Response {
    let policies = [
        (header::CONTENT_SECURITY_POLICY, FORM_POLICY),
        (header::REFERRER_POLICY, FORM_REFERRER),
    ];
    (policies, Html(FORM)).into_response()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    token: String,
}

#[derive(Debug, Serialize)]
struct Begun {
    name: String,
    role: Role,
    expires_within_s: u64,
}

async fn log_in(State(inner): App, request: Request) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    let uri = original(&request);
    let is_form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let login: Login = if is_form {
        // Any page may send a form without asking first: the browser has to say that it was ours.
        if !cross_site::says_same_origin(&headers) {
            return Err(cross_site::refused());
        }
        let sent = Form::from_request(request, &()).await;
        sent.map_err(|_| Problem::bad_request("the form has to have one field, `token`"))?
            .0
    } else {
        problem::Json::from_request(request, &()).await?.0
    };
    let now = Instant::now();
    let (token, identity) = inner.auth.log_in(&login.token, now)?;
    if let Some(old) = sessions::secret(&headers) {
        inner.auth.sessions.end(old);
    }
    let secret = inner.auth.sessions.begin(token, now).map_err(|_| {
        let detail = "the system gave no random numbers: try again";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    })?;
    tracing::info!(name = %identity.name, "somebody logged in to the admin router");
    let within = sessions::LIFETIME.as_secs();
    let cookie = [(
        header::SET_COOKIE,
        cookie(&inner, &headers, &uri, &secret, within),
    )];
    if is_form {
        // To the dashboard: the router's root, which has no `/` at its end where it is nested.
        let there = match prefix(&uri) {
            prefix if prefix.is_empty() || prefix.starts_with("//") => "/",
            prefix => prefix,
        };
        let there = [(header::LOCATION, there)];
        return Ok((StatusCode::SEE_OTHER, cookie, there).into_response());
    }
    let begun = Begun {
        name: identity.name,
        role: identity.role,
        expires_within_s: within,
    };
    Ok((cookie, Json(begun)).into_response())
}

#[derive(Debug, Serialize)]
struct Ended {
    ended: bool,
}

async fn log_out(State(inner): App, request: Request) -> Response {
    let secret = sessions::secret(request.headers());
    if let Some(secret) = secret {
        inner.auth.sessions.end(secret);
    }
    let uri = original(&request);
    let cookie = [(
        header::SET_COOKIE,
        cookie(&inner, request.headers(), &uri, "", 0),
    )];
    let ended = secret.is_some();
    (cookie, Json(Ended { ended })).into_response()
}

async fn whoami(Extension(identity): Extension<Identity>) -> Json<Identity> {
    Json(identity)
}

/// The target as the client sent it: inside `.nest(..)` the router sees it without the prefix.
fn original(request: &Request) -> Uri {
    let original = request.extensions().get::<OriginalUri>();
    original.map_or_else(|| request.uri().clone(), |original| original.0.clone())
}

/// What the router is nested under, without a `/` at its end.
fn prefix(uri: &Uri) -> &str {
    uri.path().rsplit_once('/').map_or("", |(prefix, _)| prefix)
}

/// The cookie goes to this router alone: its path is the prefix.
fn cookie(inner: &Arc<Inner>, headers: &HeaderMap, uri: &Uri, secret: &str, age_s: u64) -> String {
    let prefix = prefix(uri);
    // What cannot stand in a cookie's attribute is a prefix that nobody mounts at.
    let is_plain = prefix
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b';');
    let path = if prefix.is_empty() || !is_plain {
        "/"
    } else {
        prefix
    };
    let authority = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let authority = authority.or_else(|| uri.authority().map(http::uri::Authority::as_str));
    let is_secure = !inner.auth.insecure_cookies && !authority.is_some_and(host::is_loopback);
    let secure = if is_secure { "; Secure" } else { "" };
    format!(
        "{}={secret}; Path={path}; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}",
        sessions::COOKIE
    )
}

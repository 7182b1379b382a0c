//! Sessions of browsers, the host's own authentication, and tokens that change.

use pitcrew_admin::{Identity, Role, Token};
use sha2::{Digest, Sha256};

use super::support::*;

const HOST: &str = "localhost:3000";

fn login(token: &str) -> Request<Body> {
    let body = Some(json!({ "token": token }));
    request(Method::POST, "/performance/login", None, body)
}

/// The cookie that an answer sets, as a browser sends it back, and its attributes.
fn cookie(answer: &Answer) -> (String, String) {
    let text = answer.headers[header::SET_COOKIE].to_str().expect("text");
    let (pair, attributes) = text.split_once("; ").expect("attributes");
    (pair.to_owned(), attributes.to_owned())
}

async fn begin(app: &Router, token: &str) -> String {
    let answer = send(app, login(token)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    cookie(&answer).0
}

async fn status_with(app: &Router, cookie: &str) -> StatusCode {
    let request = request(Method::GET, "/performance/whoami", None, None);
    send(app, with(request, "cookie", cookie)).await.status
}

#[tokio::test]
async fn a21_a_login_changes_a_token_for_a_cookie_that_scripts_and_other_sites_never_see() {
    let (app, _admin) = app(|builder| builder);
    let answer = send(&app, login(READER)).await;
    assert_eq!(answer.json()["role"], "reader");
    assert!(!answer.text.contains(READER));
    let (pair, attributes) = cookie(&answer);
    assert!(!pair.contains(READER));
    for wanted in [
        "HttpOnly",
        "SameSite=Strict",
        "Path=/performance",
        "Max-Age=43200",
    ] {
        assert!(
            attributes.split("; ").any(|one| one == wanted),
            "{attributes}"
        );
    }
    assert!(!attributes.contains("Secure"), "loopback: {attributes}");
    assert_eq!(status_with(&app, &pair).await, StatusCode::OK);
    let forged = format!("pitcrew_session={}", "0".repeat(64));
    assert_eq!(status_with(&app, &forged).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_cookie_is_secure_for_other_hosts_unless_that_is_switched_off() {
    for (insecure, wanted) in [(false, true), (true, false)] {
        let (app, _admin) = app(|builder| {
            builder
                .allow_host("admin.example")
                .insecure_cookies(insecure)
        });
        let mut request = login(OPERATOR);
        let host = "admin.example".parse().expect("a value");
        request.headers_mut().insert(header::HOST, host);
        let (_, attributes) = cookie(&send(&app, request).await);
        assert_eq!(attributes.contains("; Secure"), wanted, "{attributes}");
    }
}

#[tokio::test]
async fn a21_logout_kills_the_session_and_a_new_login_the_one_before() {
    let (app, _admin) = app(|builder| builder);
    let first = begin(&app, OPERATOR).await;
    let second = send(&app, with(login(OPERATOR), "cookie", &first)).await;
    let second = cookie(&second).0;
    assert_ne!(
        first, second,
        "a session that the client brought is never taken"
    );
    assert_eq!(status_with(&app, &first).await, StatusCode::UNAUTHORIZED);
    let logout = || request(Method::POST, "/performance/logout", None, None);
    let foreign = with(
        with(logout(), "cookie", &second),
        "sec-fetch-site",
        "cross-site",
    );
    assert_eq!(send(&app, foreign).await.status, StatusCode::FORBIDDEN);
    assert_eq!(status_with(&app, &second).await, StatusCode::OK);
    let answer = send(&app, with(logout(), "cookie", &second)).await;
    assert_eq!(answer.json(), json!({"ended": true}));
    assert!(cookie(&answer).1.contains("Max-Age=0"));
    assert_eq!(status_with(&app, &second).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a5_a_session_acts_only_where_the_browser_says_that_its_own_page_asks() {
    let (app, _admin) = app(|builder| builder);
    let session = begin(&app, OPERATOR).await;
    let act = || {
        let body = Some(json!({"dry_run": true}));
        let request = request(Method::POST, "/performance/memory/gc", None, body);
        with(request, "cookie", &session)
    };
    for (name, value, wanted) in [
        ("x-nothing", "", StatusCode::FORBIDDEN),
        ("sec-fetch-site", "cross-site", StatusCode::FORBIDDEN),
        ("origin", "null", StatusCode::FORBIDDEN),
        ("origin", "http://evil.example", StatusCode::FORBIDDEN),
        ("origin", "http://localhost:3000", StatusCode::OK),
        ("sec-fetch-site", "same-origin", StatusCode::OK),
    ] {
        let answer = send(&app, with(act(), name, value)).await;
        assert_eq!(answer.status, wanted, "{name}: {value}");
    }
    let two = with(
        with(act(), "sec-fetch-site", "same-origin"),
        "sec-fetch-site",
        "cross-site",
    );
    assert_eq!(send(&app, two).await.status, StatusCode::FORBIDDEN);
    let reader = begin(&app, READER).await;
    let mut request = with(act(), "sec-fetch-site", "same-origin");
    let value = reader.parse().expect("a value");
    request.headers_mut().insert(header::COOKIE, value);
    assert_eq!(send(&app, request).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a21_a_form_logs_in_from_our_own_page_alone() {
    let (app, _admin) = app(|builder| builder);
    let page = send(&app, request(Method::GET, "/performance/login", None, None)).await;
    assert!(page.text.contains("<form method=\"post\">"));
    let policy = page.headers[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .expect("text");
    assert!(policy.contains("form-action 'self'") && policy.contains("default-src 'none'"));
    let form = |origin: Option<&str>, body: String| {
        let mut request = request(Method::POST, "/performance/login", None, None);
        *request.body_mut() = Body::from(body);
        let request = with(request, "content-type", "application/x-www-form-urlencoded");
        match origin {
            Some(origin) => with(request, "origin", origin),
            None => request,
        }
    };
    let right = || format!("token={OPERATOR}");
    for origin in [None, Some("null"), Some("http://evil.example")] {
        let answer = send(&app, form(origin, right())).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin:?}");
        assert!(!answer.headers.contains_key(header::SET_COOKIE));
    }
    let ours = format!("http://{HOST}");
    let answer = send(&app, form(Some(&ours), right())).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    assert_eq!(status_with(&app, &cookie(&answer).0).await, StatusCode::OK);
    let wrong = send(&app, form(Some(&ours), "tok=1".to_owned())).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a9_failed_logins_are_braked() {
    let (app, _admin) = app(|builder| builder);
    let mut statuses = Vec::new();
    for _ in 0..30 {
        statuses.push(send(&app, login("wrong-wrong-wrong-wrong")).await.status);
    }
    assert!(statuses.starts_with(&[StatusCode::UNAUTHORIZED; 10]));
    assert!(
        statuses.contains(&StatusCode::TOO_MANY_REQUESTS),
        "{statuses:?}"
    );
    let bearer = ask(&app, Method::GET, "/whoami", None).await;
    assert_eq!(bearer.status, StatusCode::OK, "who has the token goes on");
}

#[tokio::test]
async fn tokens_are_changed_while_it_runs_and_sessions_go_with_theirs() {
    let (app, admin) = app(|builder| builder);
    let (kept, gone) = (begin(&app, OPERATOR).await, begin(&app, READER).await);
    let hashed: String = Sha256::digest(OPERATOR)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let tokens = [
        Token::operator(format!("sha256:{hashed}")).named("ann"),
        Token::reader("a-new-token-of-this-test"),
    ];
    assert!(admin.set_tokens([Token::reader("short")]).is_err());
    assert_eq!(
        status_with(&app, &gone).await,
        StatusCode::OK,
        "nothing has changed"
    );
    admin.set_tokens(tokens).expect("good tokens");
    assert_eq!(status_with(&app, &gone).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status_with(&app, &kept).await, StatusCode::OK);
    let whoami = read(&app, "/whoami").await;
    assert_eq!(whoami, json!({"name": "ann", "role": "operator"}));
    let old = request(Method::GET, "/performance/whoami", Some(READER), None);
    assert_eq!(send(&app, old).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_hosts_own_authentication_is_asked_where_there_is_no_token() {
    #[derive(Clone)]
    struct User(&'static str, Role);
    let admin = Admin::builder()
        .auth(|parts| {
            let user = parts.extensions.get::<User>()?;
            Some(Identity::new(user.0, user.1))
        })
        .build()
        .expect("builds");
    assert_eq!(admin.generated_token(), None);
    let app = Router::new().nest("/performance", admin.router());
    let ask = async |user: Option<User>, method, path: &str| {
        let mut request = request(method, path, None, None);
        if let Some(user) = user {
            request.extensions_mut().insert(user);
        }
        send(&app, request).await
    };
    let (who, act) = ("/performance/whoami", "/performance/optimize");
    assert_eq!(
        ask(None, Method::GET, who).await.status,
        StatusCode::UNAUTHORIZED
    );
    let ben = User("ben", Role::Reader);
    let answer = ask(Some(ben.clone()), Method::GET, who).await;
    assert_eq!(answer.json(), json!({"name": "ben", "role": "reader"}));
    assert_eq!(
        ask(Some(ben), Method::POST, act).await.status,
        StatusCode::FORBIDDEN
    );
    let ann = User("ann", Role::Operator);
    assert_eq!(
        ask(Some(ann), Method::POST, act).await.status,
        StatusCode::ACCEPTED
    );
}

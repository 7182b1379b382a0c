//! The dashboard's page and files, as a browser loads them; what its scripts do is a real browser's to test.

use super::support::*;

fn page(path: &str) -> Request<Body> {
    request(Method::GET, path, None, None)
}

#[tokio::test]
async fn a_page_of_its_own_policy_for_those_who_are_known_and_the_form_for_the_rest() {
    let (app, _admin) = app(|builder| builder);
    let unknown = send(&app, page("/performance")).await;
    assert_eq!(unknown.status, StatusCode::SEE_OTHER);
    assert_eq!(unknown.headers[header::LOCATION], "/performance/login");
    let slash = send(&app, page("/performance/")).await;
    assert_eq!(slash.headers[header::LOCATION], "/performance/login");
    let known = request(Method::GET, "/performance", Some(READER), None);
    let known = send(&app, known).await;
    assert_eq!(known.status, StatusCode::OK);
    let slash = request(Method::GET, "/performance/", Some(READER), None);
    assert_eq!(send(&app, slash).await.text, known.text);
    assert!(
        known.text.contains("<base href=\"/performance/\">"),
        "{}",
        known.text
    );
    let policy = known.headers[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .unwrap();
    for wanted in [
        "default-src 'none'",
        "script-src 'self'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.contains(wanted), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(known.headers[header::CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn files_come_compressed_and_only_where_they_have_changed() {
    let (app, _admin) = app(|builder| builder);
    let path = "/performance/assets/app.js";
    let plain = send(&app, page(path)).await;
    assert_eq!(plain.status, StatusCode::OK);
    assert_eq!(
        plain.headers[header::CONTENT_TYPE],
        "text/javascript; charset=utf-8"
    );
    assert_eq!(plain.headers[header::CACHE_CONTROL], "no-cache");
    let packed = send(&app, with(page(path), "accept-encoding", "gzip, br")).await;
    assert_eq!(packed.headers[header::CONTENT_ENCODING], "gzip");
    assert_ne!(
        packed.headers[header::ETAG],
        plain.headers[header::ETAG],
        "another form has another tag (RFC 9110, 8.8.3.3)"
    );
    let tag = plain.headers[header::ETAG].to_str().unwrap();
    let again = send(&app, with(page(path), "if-none-match", tag)).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    for wrong in [
        "/performance/assets/nothing.js",
        "/performance/assets/..%2Findex.html",
        "/performance/assets/%2e%2e",
    ] {
        assert_eq!(
            send(&app, page(wrong)).await.status,
            StatusCode::NOT_FOUND,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn the_form_lets_a_browser_say_where_it_comes_from() {
    let (app, _admin) = app(|builder| builder);
    let form = send(&app, page("/performance/login")).await;
    // With `no-referrer` it would say `Origin: null`, and the login be refused.
    assert_eq!(form.headers[header::REFERRER_POLICY], "same-origin");
}

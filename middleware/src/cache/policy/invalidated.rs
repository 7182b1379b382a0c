//! What a successful unsafe request makes old (RFC 9111, 4.4): its target, and what `Location` and `Content-Location` name,
//! within the same origin, so that nobody purges for others.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
    header::{CONTENT_LOCATION, LOCATION},
};

/// Neither of the safe methods (RFC 9110, 9.2.1); one that is not known counts as unsafe.
pub(crate) fn is_unsafe(method: &Method) -> bool {
    !matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    )
}

/// The paths that are old now; none after an error, which changed nothing.
pub(crate) fn paths(
    target: &str,
    host: Option<&str>,
    status: StatusCode,
    headers: &HeaderMap,
) -> Vec<String> {
    if !(status.is_success() || status.is_redirection()) {
        return Vec::new();
    }
    let mut paths = vec![target.to_owned()];
    for name in [LOCATION, CONTENT_LOCATION] {
        let named = named(headers, &name).and_then(|uri| path_of(target, host, uri));
        if let Some(path) = named
            && !paths.contains(&path)
        {
            paths.push(path);
        }
    }
    paths
}

fn named<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).map(HeaderValue::to_str)?.ok()
}

/// The path of a reference, resolved against the target (RFC 3986, 5.2); none where it leads to another origin.
pub(crate) fn path_of(target: &str, host: Option<&str>, reference: &str) -> Option<String> {
    let reference = reference.split(['?', '#']).next().unwrap_or_default();
    if reference.starts_with("//") || reference.contains("://") {
        let absolute = reference
            .strip_prefix("//")
            .map(|rest| format!("http://{rest}"));
        let uri: Uri = absolute.as_deref().unwrap_or(reference).parse().ok()?;
        let is_same = host.is_some_and(|host| {
            uri.authority()
                .is_some_and(|authority| authority.as_str().eq_ignore_ascii_case(host))
        });
        return is_same.then(|| uri.path().to_owned());
    }
    if reference.is_empty() {
        return None;
    }
    if reference.starts_with('/') {
        return Some(without_dots(reference));
    }
    let directory = &target[..=target.rfind('/')?];
    Some(without_dots(&format!("{directory}{reference}")))
}

/// RFC 3986, 5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            ".." => {
                kept.pop();
            }
            "." => {}
            other => {
                kept.push(other);
                continue;
            }
        }
        if is_last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, pairs: &[(&'static str, &str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        paths("/a/b", Some("shop.example:80"), status, &headers)
    }

    #[test]
    fn the_target_and_what_the_answer_names_is_old_after_a_success() {
        assert_eq!(of(200, &[]), ["/a/b"]);
        assert_eq!(of(303, &[("location", "/c?x#y")]), ["/a/b", "/c"]);
        assert_eq!(of(201, &[("content-location", "c")]), ["/a/b", "/a/c"]);
        assert_eq!(of(201, &[("location", "../c/./d")]), ["/a/b", "/c/d"]);
        assert_eq!(of(201, &[("location", "..")]), ["/a/b", "/"]);
        let same = [("location", "http://Shop.example:80/c")];
        assert_eq!(of(201, &same), ["/a/b", "/c"]);
        assert_eq!(
            of(201, &[("location", "//shop.example:80/c")]),
            ["/a/b", "/c"]
        );
        assert_eq!(of(200, &[("content-location", "/a/b")]), ["/a/b"]);
    }

    #[test]
    fn nothing_is_old_after_an_error_and_nobody_purges_for_another_origin() {
        assert!(of(404, &[]).is_empty() && of(500, &[("location", "/c")]).is_empty());
        for other in [
            "http://evil.example/c",
            "//evil.example/c",
            "https://shop.example/c",
            "http://[/",
        ] {
            assert_eq!(of(201, &[("location", other)]), ["/a/b"], "{other}");
        }
    }

    #[test]
    fn unknown_methods_are_unsafe() {
        assert!(is_unsafe(&Method::POST) && is_unsafe(&Method::from_bytes(b"M-SEARCH").unwrap()));
        assert!(!is_unsafe(&Method::GET) && !is_unsafe(&Method::OPTIONS));
    }
}

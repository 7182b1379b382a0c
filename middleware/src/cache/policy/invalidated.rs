//! What a successful unsafe request makes old (RFC 9111, 4.4): its target, and what `Location` and `Content-Location` name,
//! within the same origin, so that nobody purges for others.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
    header::{CONTENT_LOCATION, LOCATION},
};

/// Methods that IANA's registry calls safe, beside those of RFC 9110.
const SAFE: [&str; 5] = ["PRI", "PROPFIND", "QUERY", "REPORT", "SEARCH"];

/// Neither of the safe methods (RFC 9110, 9.2.1); one that is not known counts as unsafe.
pub(crate) fn is_unsafe(method: &Method) -> bool {
    let is_safe = matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    );
    !is_safe && !SAFE.contains(&method.as_str())
}

/// The targets that are old now, each a path with its query; none after an error, which changed nothing.
pub(crate) fn targets(
    target: &str,
    host: Option<&str>,
    status: StatusCode,
    headers: &HeaderMap,
) -> Vec<String> {
    if !(status.is_success() || status.is_redirection()) {
        return Vec::new();
    }
    let mut targets = vec![target.to_owned()];
    for name in [LOCATION, CONTENT_LOCATION] {
        if let Some(named) = named(target, host, headers, &name)
            && !targets.contains(&named)
        {
            targets.push(named);
        }
    }
    targets
}

/// The target that a field names, within the same origin.
pub(crate) fn named(
    target: &str,
    host: Option<&str>,
    headers: &HeaderMap,
    name: &HeaderName,
) -> Option<String> {
    let reference = headers.get(name).map(HeaderValue::to_str)?.ok()?;
    resolved(target, host, reference)
}

/// A reference, resolved against the target (RFC 3986, 5.2); none where it leads to another origin.
fn resolved(target: &str, host: Option<&str>, reference: &str) -> Option<String> {
    let reference = reference.split('#').next().unwrap_or_default();
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    };
    let target_path = target.split('?').next().unwrap_or_default();
    let is_absolute = path.starts_with("//") || (!path.starts_with('/') && path.contains("://"));
    let path = if is_absolute {
        let absolute = path.strip_prefix("//").map(|rest| format!("http://{rest}"));
        let uri: Uri = absolute.as_deref().unwrap_or(path).parse().ok()?;
        let is_same = host.is_some_and(|host| {
            uri.authority()
                .is_some_and(|authority| authority.as_str().eq_ignore_ascii_case(host))
        });
        is_same.then(|| without_dots(uri.path()))?
    } else if path.starts_with('/') {
        without_dots(path)
    } else if !path.is_empty() {
        let directory = &target_path[..=target_path.rfind('/')?];
        without_dots(&format!("{directory}{path}"))
    } else if query.is_some() {
        target_path.to_owned()
    } else {
        // Nothing, or a fragment alone: the target itself.
        return Some(target.to_owned());
    };
    Some(match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    })
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
        targets("/a/b?q=1", Some("shop.example:80"), status, &headers)
    }

    #[test]
    fn the_target_and_what_the_answer_names_is_old_after_a_success() {
        assert_eq!(of(200, &[]), ["/a/b?q=1"]);
        assert_eq!(of(303, &[("location", "/c?x#y")]), ["/a/b?q=1", "/c?x"]);
        assert_eq!(of(201, &[("content-location", "c")]), ["/a/b?q=1", "/a/c"]);
        assert_eq!(of(201, &[("location", "../c/./d")]), ["/a/b?q=1", "/c/d"]);
        assert_eq!(of(201, &[("location", "..")]), ["/a/b?q=1", "/"]);
        let within = [("location", "/go/http://other/c")];
        assert_eq!(of(303, &within), ["/a/b?q=1", "/go/http://other/c"]);
        let dots = [("location", "http://shop.example:80/x/../c")];
        assert_eq!(of(201, &dots), ["/a/b?q=1", "/c"]);
        let same = [("location", "http://Shop.example:80/c")];
        assert_eq!(of(201, &same), ["/a/b?q=1", "/c"]);
        assert_eq!(
            of(201, &[("location", "//shop.example:80/c")]),
            ["/a/b?q=1", "/c"]
        );
        assert_eq!(
            of(200, &[("content-location", "/a/b")]),
            ["/a/b?q=1", "/a/b"],
            "another target"
        );
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
            assert_eq!(of(201, &[("location", other)]), ["/a/b?q=1"], "{other}");
        }
    }

    #[test]
    fn unknown_methods_are_unsafe() {
        assert!(is_unsafe(&Method::POST) && is_unsafe(&Method::from_bytes(b"M-SEARCH").unwrap()));
        assert!(!is_unsafe(&Method::GET) && !is_unsafe(&Method::OPTIONS));
        assert!(!is_unsafe(&Method::from_bytes(b"QUERY").unwrap()));
    }
}

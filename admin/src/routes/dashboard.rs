//! `GET /` and `GET /assets/{file}`: the dashboard, embedded as it stands in `admin/dashboard`. Its files hold no figures, so
//! everybody may load them; what it shows it asks of the other routes, as whoever is logged in.

use std::io::Write as _;
use std::sync::OnceLock;

use axum::body::Bytes;
use axum::extract::{OriginalUri, Request, State};
use axum::response::{Html, IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use super::App;
use super::operation::{Operation, WRONG_TOKEN};
use crate::security::problem::{self, Problem};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/",
            "The dashboard; for those who are not logged in, the way to the form (303).",
            page,
        )
        .public()
        .gives_as(200, "text/html; charset=utf-8", json!("<!doctype html>..."))
        .leads("To the form, for those who are not logged in.")
        .refuses(429, WRONG_TOKEN),
        Operation::get("/assets/{file}", "A file of the dashboard.", asset)
            .public()
            .tagged()
            .gives_as(200, "text/javascript; charset=utf-8", json!("..."))
            .gives_as(200, "text/css; charset=utf-8", json!("..."))
            .gives_as(200, "image/svg+xml", json!("..."))
            .refuses(404, "The dashboard has no such file."),
    ]
}

const PAGE: &str = include_str!("../../dashboard/index.html");
/// Where the page says under which prefix it stands.
const BASE: &str = "{{base}}";

/// Everything from here, nothing else, and no text becomes markup or a script (Trusted Types).
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'self'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
);
/// Asked for again each time, and sent again only where it has changed.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file, and itself compressed once it was asked for.
struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    gzip: OnceLock<Bytes>,
}

macro_rules! assets {
    ($($name:literal $kind:ident $path:literal)*) => {
        [$(Asset {
            name: $name,
            kind: $kind,
            bytes: include_bytes!(concat!("../../dashboard/", $path)),
            gzip: OnceLock::new(),
        }),*]
    };
}

static ASSETS: [Asset; 27] = assets! {
    "api.js" JAVASCRIPT "api.js"
    "app.js" JAVASCRIPT "app.js"
    "chart.js" JAVASCRIPT "chart.js"
    "heat.js" JAVASCRIPT "heat.js"
    "format.js" JAVASCRIPT "format.js"
    "html.js" JAVASCRIPT "html.js"
    "live.js" JAVASCRIPT "live.js"
    "state.js" JAVASCRIPT "state.js"
    "ui.js" JAVASCRIPT "ui.js"
    "page-advice.js" JAVASCRIPT "page-advice.js"
    "page-alerts.js" JAVASCRIPT "page-alerts.js"
    "page-api.js" JAVASCRIPT "page-api.js"
    "page-audit.js" JAVASCRIPT "page-audit.js"
    "page-cache.js" JAVASCRIPT "page-cache.js"
    "page-cycles.js" JAVASCRIPT "page-cycles.js"
    "page-database.js" JAVASCRIPT "page-database.js"
    "page-load.js" JAVASCRIPT "page-load.js"
    "page-memory.js" JAVASCRIPT "page-memory.js"
    "page-overview.js" JAVASCRIPT "page-overview.js"
    "page-times.js" JAVASCRIPT "page-times.js"
    "style.css" CSS "style.css"
    "icon.svg" SVG "icon.svg"
    "preact.js" JAVASCRIPT "vendor/preact.js"
    "hooks.js" JAVASCRIPT "vendor/hooks.js"
    "htm.js" JAVASCRIPT "vendor/htm.js"
    "uplot.js" JAVASCRIPT "vendor/uplot.js"
    "uplot.css" CSS "vendor/uplot.css"
};

async fn page(
    State(inner): App,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Result<Response, Problem> {
    let base = base(uri.path());
    let (parts, _) = request.into_parts();
    if inner.auth.identify(&parts)?.is_none() {
        let there = [(header::LOCATION, format!("{base}login"))];
        return Ok((StatusCode::SEE_OTHER, there).into_response());
    }
    let policy = [(header::CONTENT_SECURITY_POLICY, POLICY)];
    Ok((policy, Html(PAGE.replace(BASE, &base))).into_response())
}

/// The prefix with a `/` at its end, safe inside an attribute.
fn base(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%".contains(&byte);
    let path = path.trim_end_matches('/');
    if path.starts_with("//") || !path.bytes().all(is_plain) {
        return "/".into();
    }
    format!("{path}/")
}

async fn asset(
    problem::Path(file): problem::Path,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asset = ASSETS
        .iter()
        .find(|asset| asset.name == file)
        .ok_or_else(|| Problem::not_found("the dashboard has no such file"))?;
    let fixed = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
        (header::CACHE_CONTROL, ASK_AGAIN),
    ];
    let packed = takes_gzip(&headers).then(|| asset.packed()).flatten();
    Ok(match packed {
        Some(packed) => {
            let coding = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
            (StatusCode::OK, fixed, coding, packed).into_response()
        }
        None => (StatusCode::OK, fixed, asset.bytes).into_response(),
    })
}

impl Asset {
    fn packed(&self) -> Option<Bytes> {
        if let Some(packed) = self.gzip.get() {
            return Some(packed.clone());
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(self.bytes).ok()?;
        let packed = Bytes::from(encoder.finish().ok()?);
        Some(self.gzip.get_or_init(|| packed).clone())
    }
}

/// RFC 9110, 12.5.3, as far as it matters here: named, and not with a weight of zero.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(header::ACCEPT_ENCODING).iter();
    let named = fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','))
        .map(|coding| coding.to_ascii_lowercase().replace(' ', ""));
    named.into_iter().any(|coding| {
        coding == "gzip"
            || coding
                .strip_prefix("gzip;q=")
                .is_some_and(|weight| weight.parse().is_ok_and(|weight: f32| weight > 0.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_base_is_the_prefix_and_never_markup() {
        assert_eq!(base("/performance"), "/performance/");
        assert_eq!(base("/"), "/");
        assert_eq!(base("/a/b/"), "/a/b/");
        assert_eq!(base("/\"><script>"), "/");
        assert_eq!(base("//elsewhere.example"), "/");
    }

    #[test]
    fn gzip_is_taken_where_it_is_named() {
        let takes = |text| {
            takes_gzip(&HeaderMap::from_iter([(
                header::ACCEPT_ENCODING,
                HeaderValue::from_static(text),
            )]))
        };
        assert!(takes("gzip, deflate, br"));
        assert!(takes("br;q=1.0, gzip;q=0.5"));
        assert!(!takes("gzip;q=0"));
        assert!(!takes("br"));
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn all_of_it_is_under_100_kilobytes_compressed() {
        let packed = ASSETS.iter().map(|asset| asset.packed().unwrap().len());
        let total: usize = packed.sum();
        assert!(total < 100_000, "{total}");
    }

    #[test]
    fn what_is_brought_along_is_what_was_published() {
        let notes = include_str!("../../dashboard/vendor/README.md");
        for file in ["preact.js", "hooks.js", "htm.js", "uplot.js", "uplot.css"] {
            let asset = ASSETS.iter().find(|asset| asset.name == file).unwrap();
            let sum: String = Sha256::digest(asset.bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let row = notes
                .lines()
                .find(|line| line.starts_with(&format!("| {file} ")))
                .unwrap();
            assert!(row.contains(&sum), "{file}: {sum}");
        }
    }

    #[test]
    fn every_file_that_a_module_imports_is_there() {
        let mut found = 0;
        for asset in &ASSETS {
            let text = String::from_utf8_lossy(asset.bytes);
            let imports = text.split("from").skip(1).filter_map(|rest| {
                let rest = rest.trim_start();
                let quote = rest
                    .chars()
                    .next()
                    .filter(|letter| "'\"".contains(*letter))?;
                rest[1..].split(quote).next()?.strip_prefix("./")
            });
            for import in imports {
                found += 1;
                assert!(
                    ASSETS.iter().any(|asset| asset.name == import),
                    "{}: {import}",
                    asset.name
                );
            }
        }
        assert!(found > 40, "only {found} imports were read");
    }
}

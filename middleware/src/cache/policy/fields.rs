//! Which of the fields that the cache looks at a request has, found in one pass: most requests have none of them, and
//! asking a header map for each by name costs more than all the rest of a hit.

use http::{HeaderMap, HeaderName, header::CONNECTION};

/// Fields that say under which name, scheme, port and path a proxy was asked: an app may build links from them, so each is
/// part of the key (SECURITY C5): those that frameworks and proxies read, and those that lists of poisoned fields name. Not
/// among them: the client's address (`X-Forwarded-For`), which would leave a key for each client. The shorter first, as
/// [`SHORTER`] needs it.
static FORWARDED: [HeaderName; 32] = [
    HeaderName::from_static("x-host"),
    HeaderName::from_static("x-scheme"),
    http::header::FORWARDED,
    HeaderName::from_static("x-arr-ssl"),
    HeaderName::from_static("cf-visitor"),
    HeaderName::from_static("x-forwarded"),
    HeaderName::from_static("x-real-host"),
    HeaderName::from_static("x-url-scheme"),
    HeaderName::from_static("x-script-name"),
    HeaderName::from_static("x-original-uri"),
    HeaderName::from_static("front-end-https"),
    HeaderName::from_static("x-forwarded-ssl"),
    HeaderName::from_static("x-forwarded-uri"),
    HeaderName::from_static("x-host-override"),
    HeaderName::from_static("x-original-host"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-path"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-original-proto"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-original-scheme"),
    HeaderName::from_static("x-forwarded-method"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-forwarded-scheme"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-forwarded-context"),
    HeaderName::from_static("x-forwarded-protocol"),
    HeaderName::from_static("x-http-host-override"),
    HeaderName::from_static("x-envoy-original-host"),
    HeaderName::from_static("x-envoy-original-path"),
    HeaderName::from_static("x-forwarded-host-override"),
    HeaderName::from_static("cloudfront-forwarded-proto"),
];

const LONGEST: usize = 26;

/// How many of them are shorter than so many bytes: a name is compared with those of its own length alone.
static SHORTER: [u8; LONGEST + 2] = [
    0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 4, 5, 7, 8, 9, 10, 15, 19, 21, 25, 26, 28, 30, 30, 30, 30, 31, 32,
];

/// Groups of fields that are asked for together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Field {
    /// `Content-Length` or `Transfer-Encoding`.
    Framing = 1,
    /// Fields by which a client may have the app answer for another target or method than the key says (SECURITY C5).
    Rewriting = 1 << 1,
    Upgrade = 1 << 2,
    /// `If-Match` or `If-Unmodified-Since`.
    Precondition = 1 << 3,
    CacheControl = 1 << 4,
    Pragma = 1 << 5,
    Authorization = 1 << 6,
    Cookie = 1 << 7,
    /// `If-None-Match` or `If-Modified-Since`.
    Conditional = 1 << 8,
    Range = 1 << 9,
    /// `Connection` names a field that is not of the connection: whoever forwards the request takes it out (RFC 9110, 7.6.1),
    /// and answers for less than the key says.
    Connection = 1 << 10,
}

impl Field {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "content-length" | "transfer-encoding" => Self::Framing,
            "x-original-url"
            | "x-rewrite-url"
            | "x-override-url"
            | "x-request-uri"
            | "x-original-path"
            | "x-rewrite-path"
            | "x-waws-unencoded-url"
            | "x-envoy-original-method"
            | "x-original-method"
            | "x-method"
            | "x-forwarded-root"
            | "disguised-host"
            | "x-http-method-override"
            | "x-http-method"
            | "x-method-override" => Self::Rewriting,
            "upgrade" => Self::Upgrade,
            "if-match" | "if-unmodified-since" => Self::Precondition,
            "cache-control" => Self::CacheControl,
            "pragma" => Self::Pragma,
            "authorization" => Self::Authorization,
            "cookie" => Self::Cookie,
            "if-none-match" | "if-modified-since" => Self::Conditional,
            "range" => Self::Range,
            _ => return None,
        })
    }
}

/// A set of [`Field`]s, and of [`FORWARDED`] names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    groups: u16,
    /// A bit for each name, in their order.
    forwarded: u32,
}

impl Fields {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut fields = Self::default();
        for name in headers.keys() {
            if *name == CONNECTION {
                if names_others(headers) {
                    fields.groups |= Field::Connection as u16;
                }
            } else if let Some(field) = Field::of(name.as_str()) {
                fields.groups |= field as u16;
            } else if let Some(at) = forwarded_at(name.as_str()) {
                fields.forwarded |= 1 << at;
            }
        }
        fields
    }

    pub(crate) fn has(self, field: Field) -> bool {
        self.groups & field as u16 != 0
    }

    /// Which of the [`FORWARDED`] names there are: as one number, and each.
    pub(crate) fn forwarded(self) -> (u32, impl Iterator<Item = &'static HeaderName>) {
        let set = self.forwarded;
        let names = FORWARDED.iter().enumerate();
        let names = names.filter(move |(at, _)| set & (1 << at) != 0);
        (set, names.map(|(_, name)| name))
    }
}

/// Whether `Connection` names what is not of the connection.
fn names_others(headers: &HeaderMap) -> bool {
    const OWN: [&str; 9] = [
        "keep-alive",
        "close",
        "upgrade",
        "te",
        "trailer",
        "http2-settings",
        "proxy-connection",
        "transfer-encoding",
        "",
    ];
    let mut values = headers.get_all(CONNECTION).iter();
    values.any(|value| {
        let value = value.to_str().unwrap_or("?");
        let mut names = value.split(',');
        names.any(|name| !OWN.iter().any(|own| own.eq_ignore_ascii_case(name.trim())))
    })
}

fn forwarded_at(name: &str) -> Option<usize> {
    // Spares what nearly every request brings (`accept-encoding`, `user-agent`) the look.
    let may_be = name.starts_with("x-") || name.starts_with(['c', 'f']);
    if !may_be || name.len() > LONGEST {
        return None;
    }
    let [from, to] = [name.len(), name.len() + 1].map(|length| SHORTER[length] as usize);
    let known = FORWARDED[from..to].iter();
    known
        .enumerate()
        .find_map(|(at, known)| (known.as_str() == name).then_some(from + at))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_others_are_not() {
        let fields = |name: &str| {
            let mut headers = HeaderMap::new();
            let name: http::HeaderName = name.parse().unwrap();
            headers.insert(name, HeaderValue::from_static("x"));
            Fields::of(&headers)
        };
        assert!(fields("X-Original-URL").has(Field::Rewriting));
        assert!(fields("Transfer-Encoding").has(Field::Framing));
        assert!(!fields("Transfer-Encoding").has(Field::Cookie));
        assert_eq!(fields("Accept"), Fields::default());
        assert_eq!(fields("x-forwarded-for"), Fields::default());
    }

    #[test]
    fn each_forwarded_name_is_found_and_stands_for_itself() {
        for known in &FORWARDED {
            let mut headers = HeaderMap::new();
            headers.insert(known, HeaderValue::from_static("x"));
            headers.insert("accept", HeaderValue::from_static("x"));
            let (set, names) = Fields::of(&headers).forwarded();
            assert_eq!(set.count_ones(), 1, "{known}");
            assert_eq!(names.collect::<Vec<_>>(), [known]);
        }
    }
}

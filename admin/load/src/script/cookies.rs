//! What a visitor was told to say again (RFC 6265). There is one host, so a cookie's domain says nothing.

use cookie::{Cookie, Expiration};

use super::reply::Reply;

/// So many are kept; a visitor that is told more keeps those it has.
const MAX_COOKIES: usize = 50;
/// A longer one is not kept (RFC 6265, 6.1).
const MAX_BYTES: usize = 4_096;

/// The cookies of one visit.
#[derive(Debug, Default)]
pub(super) struct Cookies(Vec<Kept>);

#[derive(Debug)]
struct Kept {
    name: String,
    value: String,
    path: String,
}

impl Cookies {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Keeps what the answer to `path` sets, and forgets what it takes back.
    pub(super) fn take(&mut self, reply: &Reply, path: &str) {
        for value in reply.values("set-cookie") {
            let Some(cookie) = std::str::from_utf8(value)
                .ok()
                .filter(|text| text.len() <= MAX_BYTES)
                .and_then(|text| Cookie::parse(text.to_owned()).ok())
            else {
                continue;
            };
            let at = match cookie.path() {
                Some(own) if own.starts_with('/') => own.to_owned(),
                _ => default_path(path).to_owned(),
            };
            self.0
                .retain(|kept| kept.name != cookie.name() || kept.path != at);
            if !is_over(&cookie) && self.0.len() < MAX_COOKIES {
                self.0.push(Kept {
                    name: cookie.name().to_owned(),
                    value: cookie.value().to_owned(),
                    path: at,
                });
            }
        }
    }

    /// The value of the header `cookie` for a request; `None` where there is nothing to say.
    pub(super) fn header(&self, path: &str) -> Option<String> {
        let path = path.split('?').next().unwrap_or(path);
        let pairs: Vec<_> = self
            .0
            .iter()
            .filter(|kept| matches(path, &kept.path))
            .map(|kept| format!("{}={}", kept.name, kept.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

/// Max-Age goes before Expires (5.3). A date is over or is not: no run lasts until one that is to come.
fn is_over(cookie: &Cookie<'_>) -> bool {
    match (cookie.max_age(), cookie.expires()) {
        (Some(age), _) => age.is_zero() || age.is_negative(),
        (None, Some(Expiration::DateTime(at))) => {
            at.unix_timestamp()
                <= std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .map_or(0, |since| since.as_secs() as i64)
        }
        _ => false,
    }
}

/// 5.1.4: up to the last slash, without it.
fn default_path(path: &str) -> &str {
    let path = path.split('?').next().unwrap_or(path);
    match path.rfind('/') {
        Some(last) if last > 0 => &path[..last],
        _ => "/",
    }
}

/// 5.1.4.
fn matches(path: &str, of: &str) -> bool {
    path.strip_prefix(of)
        .is_some_and(|rest| rest.is_empty() || of.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str, lines: &[&str]) -> Cookies {
        let mut cookies = Cookies::default();
        let mut reply = Reply::default();
        for line in lines {
            reply.header("Set-Cookie", line.as_bytes());
        }
        cookies.take(&reply, path);
        cookies
    }

    #[test]
    fn a_cookie_is_said_again_where_its_path_is() {
        let cookies = told(
            "/shop/login?x=1",
            &["a=1", "b=2; Path=/", "c=3; Path=/admin; HttpOnly; Secure"],
        );
        assert_eq!(cookies.header("/shop/cart").as_deref(), Some("a=1; b=2"));
        assert_eq!(cookies.header("/shops").as_deref(), Some("b=2"));
        assert_eq!(cookies.header("/admin/x?y").as_deref(), Some("b=2; c=3"));
    }

    #[test]
    fn a_cookie_is_replaced_and_taken_back() {
        let line = |line| told("/", &["a=1; Path=/", "b=1; Path=/", line]).header("/");
        assert_eq!(line("a=2; Path=/").as_deref(), Some("b=1; a=2"));
        assert_eq!(line("a=; Path=/; Max-Age=0").as_deref(), Some("b=1"));
        assert_eq!(
            line("a=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT").as_deref(),
            Some("b=1")
        );
        assert_eq!(line("a=3; Path=/; Max-Age=60").as_deref(), Some("b=1; a=3"));
        // What is none is not kept.
        assert_eq!(line("=").as_deref(), Some("a=1; b=1"));
    }

    #[test]
    fn their_number_and_their_length_are_bounded() {
        let many: Vec<String> = (0..80).map(|number| format!("c{number}=1")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let header = told("/", &many).header("/").expect("cookies");
        assert_eq!(header.split("; ").count(), MAX_COOKIES);
        assert_eq!(
            told("/", &[&format!("a={}", "x".repeat(5_000))]).header("/"),
            None
        );
    }
}

//! Read your own writes: what a client has changed through one instance it does not see undone by another.
//!
//! The answer to an unsafe request carries a token, which names what was purged and the positions that Redis gave. A
//! request with a token that this instance has not reached waits a little, then goes to the handler: past the cache, and
//! past others who wait for the same (rule 9 of the invalidation).

mod token;
mod writes;

use std::{future::Future, pin::Pin, str::FromStr, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{COOKIE, SET_COOKIE},
};

pub(super) use self::{
    token::Token,
    writes::{Writes, purged},
};

/// How a client carries what it has written; see
/// [`CacheBuilder::read_your_writes`](super::CacheBuilder::read_your_writes).
#[derive(Clone, Debug)]
pub struct ReadYourWrites(Carrier);

#[derive(Clone, Debug)]
enum Carrier {
    Header(HeaderName),
    Cookie { name: Box<str>, is_secure: bool },
}

impl ReadYourWrites {
    /// In a field of this name, of the answer and then of the client's next requests; for clients of your own, which send
    /// back what they got. The token stands for its own lifetime, so keeping the last one is enough.
    #[must_use]
    pub fn header(name: HeaderName) -> Self {
        Self(Carrier::Header(name))
    }

    /// In a cookie of this name, which browsers send back by themselves, over TLS alone (`Secure`; to `localhost` most do without).
    /// The handler does not see it, and it does not make a request one with cookies.
    ///
    /// # Panics
    ///
    /// Where the name is not a token (RFC 6265, 4.1.1).
    #[must_use]
    pub fn cookie(name: &str) -> Self {
        let is_token = HeaderName::from_str(name).is_ok();
        assert!(is_token, "`{name}` is not the name of a cookie");
        Self(Carrier::Cookie {
            name: name.into(),
            is_secure: true,
        })
    }

    /// Leaves `Secure` out of the cookie, for an app that its users reach by plain HTTP: browsers then send it over connections that
    /// anybody on the way may read and change. Of no effect on [`header`](Self::header). Default: off.
    #[must_use]
    pub fn insecure_plain_http(mut self, allow: bool) -> Self {
        if let Carrier::Cookie { is_secure, .. } = &mut self.0 {
            *is_secure = !allow;
        }
        self
    }

    /// Takes the client's token out of its request. `None` without one.
    pub(super) fn take(&self, headers: &mut HeaderMap) -> Option<String> {
        match &self.0 {
            Carrier::Header(name) => {
                let value = headers.remove(name)?;
                Some(value.to_str().unwrap_or_default().to_owned())
            }
            Carrier::Cookie { name, .. } => take_cookie(headers, name),
        }
    }

    /// The field of an answer that holds a token.
    pub(super) fn field(
        &self,
        token: &Token,
        lifetime: Duration,
    ) -> Option<(HeaderName, HeaderValue)> {
        let (name, value) = match &self.0 {
            Carrier::Header(name) => (name.clone(), token.to_string()),
            Carrier::Cookie { name, is_secure } => {
                let lifetime = lifetime.as_secs();
                let secure = if *is_secure { "; Secure" } else { "" };
                let value = format!(
                    "{name}={token}; Max-Age={lifetime}; Path=/; HttpOnly; SameSite=Lax{secure}"
                );
                (SET_COOKIE, value)
            }
        };
        Some((name, HeaderValue::try_from(value).ok()?))
    }
}

/// Comes to the field that an answer waits for.
pub(super) type Telling = Pin<Box<dyn Future<Output = Option<(HeaderName, HeaderValue)>> + Send>>;

fn take_cookie(headers: &mut HeaderMap, name: &str) -> Option<String> {
    let is_ours = |pair: &str| {
        let pair = pair.trim_start().strip_prefix(name);
        pair.is_some_and(|rest| rest.starts_with('='))
    };
    let lines: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    let mut found = None;
    let mut kept = Vec::with_capacity(lines.len());
    for line in lines {
        let Ok(text) = line.to_str() else {
            kept.push(line);
            continue;
        };
        let (ours, others): (Vec<&str>, Vec<&str>) =
            text.split(';').partition(|pair| is_ours(pair));
        let Some(last) = ours.last() else {
            kept.push(line);
            continue;
        };
        found = last
            .split_once('=')
            .map(|(_, value)| value.trim().to_owned());
        let others = others.join(";");
        if !others.trim().is_empty() {
            kept.extend(HeaderValue::from_str(others.trim_start()));
        }
    }
    if found.is_some() {
        headers.remove(COOKIE);
        for line in kept {
            headers.append(COOKIE, line);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_for_tls_alone_unless_the_app_says_otherwise() {
        let token = Token::new(None, vec![(1, token::At::Unknown(2))], 2);
        let cookie = |carrier: ReadYourWrites| {
            let field = carrier.field(&token, Duration::from_secs(90)).unwrap();
            field.1.to_str().unwrap().to_owned()
        };
        let carrier = ReadYourWrites::cookie("writes");
        let plain = "writes=1-t2; Max-Age=90; Path=/; HttpOnly; SameSite=Lax";
        assert_eq!(cookie(carrier.clone()), format!("{plain}; Secure"));
        assert_eq!(cookie(carrier.insecure_plain_http(true)), plain);
    }

    #[test]
    fn the_cookie_is_taken_out_and_others_stay_as_they_were() {
        let carrier = ReadYourWrites::cookie("writes");
        for (lines, found, left) in [
            (&["writes=1"][..], Some("1"), &[][..]),
            (&["a=1; writes=2; b=3"], Some("2"), &["a=1; b=3"]),
            (&["writes=2; a=1", "b=2"], Some("2"), &["a=1", "b=2"]),
            (&["mywrites=2;writes2=1"], None, &["mywrites=2;writes2=1"]),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_static(line));
            }
            assert_eq!(carrier.take(&mut headers).as_deref(), found, "{lines:?}");
            let kept: Vec<_> = headers.get_all(COOKIE).iter().collect();
            assert_eq!(kept, left, "{lines:?}");
        }
    }
}

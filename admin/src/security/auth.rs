//! Who asks: a bearer token, a session, or somebody that the host itself knows.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, header};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::brake::Brake;
use super::identity::{Hash, Identity, Known, MAX_TOKEN_BYTES, Role, hash};
use super::problem::Problem;
use super::{cross_site, sessions};
use crate::Inner;

/// The host's own authentication: somebody it knows, or nobody.
pub(crate) type Hook = Arc<dyn Fn(&Parts) -> Option<Identity> + Send + Sync>;

/// What somebody was known by: a stream looks again whether it still is worth something.
#[derive(Debug, Clone)]
pub(crate) enum Credential {
    /// A bearer token, by its hash.
    Token(Hash),
    /// A session, by the hash of its secret.
    Session(Hash),
    /// The host knows them, and is asked with the next request.
    Host,
}

/// The configured tokens, as hashes; the sessions begun with them; and the brakes on guessing.
pub(crate) struct Auth {
    tokens: RwLock<Vec<Known>>,
    hook: Option<Hook>,
    pub(crate) sessions: sessions::Sessions,
    /// On requests with a wrong token.
    failures: Brake,
    /// On logins.
    logins: Brake,
    /// Whether the cookie may go over plain HTTP to other machines.
    pub(crate) insecure_cookies: bool,
}

impl fmt::Debug for Auth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Auth").finish_non_exhaustive()
    }
}

impl Auth {
    pub(crate) fn new(tokens: Vec<Known>, hook: Option<Hook>, insecure_cookies: bool) -> Self {
        Self {
            tokens: RwLock::new(tokens),
            hook,
            sessions: sessions::Sessions::default(),
            failures: Brake::new(),
            logins: Brake::new(),
            insecure_cookies,
        }
    }

    /// Changes all tokens; sessions begun with one that goes have ended.
    pub(crate) fn set(&self, tokens: Vec<Known>) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens;
    }

    /// Wrong tokens so far, in requests and in logins.
    pub(crate) fn failures(&self) -> (u64, u64) {
        (self.failures.failures(), self.logins.failures())
    }

    /// Whose token it is. Takes the same time for every token of a length: all hashes are compared, in constant time.
    fn holder_of(&self, token: &str) -> Option<(Hash, Identity)> {
        if token.is_empty() || token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        self.known(&hash(token))
    }

    fn known(&self, wanted: &Hash) -> Option<(Hash, Identity)> {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let mut found = 0_u64;
        for (known, place) in tokens.iter().zip(1_u64..) {
            let is_it: Choice = known.hash.ct_eq(wanted);
            found.conditional_assign(&place, is_it);
        }
        let place = usize::try_from(found.checked_sub(1)?).ok()?;
        let known = tokens.get(place)?;
        Some((known.hash, known.identity.clone()))
    }

    /// A login with the right token. While too many wrong ones have come, the right one is refused too: else the brake would
    /// slow nobody who guesses. Requests with a bearer token, and sessions that have begun, go on.
    pub(crate) fn log_in(&self, token: &str, now: Instant) -> Result<(Hash, Identity), Problem> {
        if !self.logins.is_open(now) {
            return Err(braked("too many failed logins: try again in a second"));
        }
        self.holder_of(token).ok_or_else(|| {
            self.logins.fail(now);
            tracing::warn!("a login to the admin router failed");
            Problem::new(StatusCode::UNAUTHORIZED, "this is no token of this app")
        })
    }

    /// Who a public route is asked by, if it is somebody known. A wrong token is a guess here too, for the answer differs.
    pub(crate) fn identify(&self, parts: &Parts) -> Result<Option<Identity>, Problem> {
        let now = Instant::now();
        let found = self.find(parts, now);
        if found.is_none() {
            self.guess(parts, now)?;
        }
        Ok(found.map(|(identity, _)| identity))
    }

    /// Counts a request of nobody known that has a token: refuses it where too many have come.
    fn guess(&self, parts: &Parts, now: Instant) -> Result<(), Problem> {
        // A session that has ended is no guess.
        if parts.headers.contains_key(header::AUTHORIZATION) && !self.failures.fail(now) {
            return Err(braked("too many requests with a wrong token"));
        }
        Ok(())
    }

    /// Names and roles of those who have a token.
    pub(crate) fn holders(&self) -> Vec<Identity> {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        tokens.iter().map(|known| known.identity.clone()).collect()
    }

    pub(crate) fn has_hook(&self) -> bool {
        self.hook.is_some()
    }

    /// Whether a credential that was good is so still. That a stream looks is no use of a session.
    pub(crate) fn is_good(&self, credential: &Credential, now: Instant) -> bool {
        match credential {
            Credential::Token(token) => self.known(token).is_some(),
            Credential::Session(session) => {
                let token = self.sessions.token_behind(session, now);
                token.is_some_and(|token| self.known(&token).is_some())
            }
            Credential::Host => true,
        }
    }

    /// Who a request is from, and by what they are known.
    fn find(&self, parts: &Parts, now: Instant) -> Option<(Identity, Credential)> {
        let host = || {
            let identity = self.hook.as_ref().and_then(|hook| hook(parts));
            identity.map(|identity| (identity, Credential::Host))
        };
        if parts.headers.contains_key(header::AUTHORIZATION) {
            // The host may use the header for itself: what is no token of ours is asked of the host.
            let ours = bearer(&parts.headers).and_then(|token| self.holder_of(token));
            let ours = ours.map(|(token, identity)| (identity, Credential::Token(token)));
            return ours.or_else(host);
        }
        let session = sessions::secret(&parts.headers).and_then(|secret| {
            let token = self.sessions.token_of(secret, now)?;
            let (_, identity) = self.known(&token)?;
            Some((identity, Credential::Session(hash(secret))))
        });
        session.or_else(host)
    }
}

fn braked(detail: &str) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).with_header(header::RETRY_AFTER, "1")
}

/// The one `Authorization: Bearer` token of a request (RFC 6750; the scheme's case does not matter, RFC 9110, 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// 401 without somebody known, with the same body whatever was wrong; 403 for a reader who asks for a change, and for a
/// session's change that its own page did not send. The [`Identity`] and the [`Credential`] go along with the
/// request.
pub(crate) async fn check(
    State(inner): State<Arc<Inner>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let now = Instant::now();
    let Some((identity, credential)) = inner.auth.find(&parts, now) else {
        inner.auth.guess(&parts, now)?;
        let problem = Problem::new(
            StatusCode::UNAUTHORIZED,
            "send `Authorization: Bearer TOKEN` with a token of this app",
        );
        return Err(problem.with_header(header::WWW_AUTHENTICATE, "Bearer realm=\"pitcrew\""));
    };
    // Every route that changes something is not a GET: the rule holds for routes that do not exist yet.
    let is_reading = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if !is_reading && identity.role < Role::Operator {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "this needs a token with the operator role",
        ));
    }
    // A browser sends the cookie whoever made it send the request, so here silence is not enough.
    let is_cookie = matches!(credential, Credential::Session(_));
    if !is_reading && is_cookie && !cross_site::says_same_origin(&parts.headers) {
        return Err(cross_site::refused());
    }
    parts.extensions.insert(identity);
    parts.extensions.insert(credential);
    Ok(next.run(Request::from_parts(parts, body)).await)
}

#[cfg(test)]
mod tests {
    use super::super::identity::{Token, known};
    use super::*;

    #[test]
    fn a_token_has_its_role_and_no_other_token_has_one() {
        let tokens = [
            Token::reader("reader-reader-reader").named("ann"),
            Token::operator("operator-operator-operator"),
        ];
        let auth = Auth::new(known(&tokens).expect("tokens"), None, false);
        let of = |token: &str| {
            let (_, identity) = auth.holder_of(token)?;
            Some((identity.name, identity.role))
        };
        assert_eq!(
            of("reader-reader-reader"),
            Some(("ann".to_owned(), Role::Reader))
        );
        assert_eq!(
            of("operator-operator-operator"),
            Some(("operator-2".to_owned(), Role::Operator))
        );
        for wrong in [
            "",
            "reader-reader-reade",
            "reader-reader-reader ",
            &"x".repeat(1 << 20),
        ] {
            assert_eq!(of(wrong), None);
        }
    }

    #[test]
    fn a9_while_the_brake_is_on_the_right_token_logs_in_no_more_than_a_wrong_one() {
        let right = "operator-operator-operator";
        let tokens = known(&[Token::operator(right)]).expect("tokens");
        let auth = Auth::new(tokens, None, false);
        let now = Instant::now();
        assert!(auth.log_in(right, now).is_ok());
        for _ in 0..10 {
            assert!(auth.log_in("wrong-wrong-wrong-wrong", now).is_err());
        }
        assert!(auth.log_in(right, now).is_err());
        assert!(
            auth.log_in(right, now + std::time::Duration::from_secs(2))
                .is_ok()
        );
    }
}

//! A bearer token gives a role.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{Method, StatusCode, header};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::problem::Problem;
use crate::Inner;

/// The shortest token that is taken from configuration: 16 bytes.
pub(crate) const MIN_TOKEN_BYTES: usize = 16;
/// The longest token that is looked at. What is longer is wrong, unread.
const MAX_TOKEN_BYTES: usize = 1_024;
/// So many wrong tokens may come at once; after that one a second.
const FAILURES_AT_ONCE: f64 = 10.0;

/// What a token's holder may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// May look at everything.
    Reader,
    /// May look, and may do what changes something.
    Operator,
}

type Hash = [u8; 32];

/// The configured tokens, as hashes, and the brake on guessing.
#[derive(Debug)]
pub(crate) struct Auth {
    tokens: Vec<(Hash, Role)>,
    failures: Mutex<Brake>,
}

#[derive(Debug)]
struct Brake {
    left: f64,
    at: Instant,
}

impl Auth {
    pub(crate) fn new(tokens: impl IntoIterator<Item = (String, Role)>) -> Self {
        let tokens = tokens
            .into_iter()
            .map(|(token, role)| (Sha256::digest(token.as_bytes()).into(), role))
            .collect();
        Self {
            tokens,
            failures: Mutex::new(Brake {
                left: FAILURES_AT_ONCE,
                at: Instant::now(),
            }),
        }
    }

    /// The role of a token. Takes the same time for every token of a length: all digests are compared, in constant time.
    fn role_of(&self, token: &str) -> Option<Role> {
        if token.is_empty() || token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let digest: Hash = Sha256::digest(token.as_bytes()).into();
        let mut found = 0_u8;
        for (known, role) in &self.tokens {
            let is_it: Choice = known.ct_eq(&digest);
            let rank = match role {
                Role::Reader => 1,
                Role::Operator => 2,
            };
            found.conditional_assign(&rank, is_it);
        }
        match found {
            0 => None,
            1 => Some(Role::Reader),
            _ => Some(Role::Operator),
        }
    }

    /// Whether one more wrong token is looked at now.
    fn may_fail(&self, now: Instant) -> bool {
        let mut brake = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let regained = now.saturating_duration_since(brake.at).as_secs_f64();
        brake.left = (brake.left + regained).min(FAILURES_AT_ONCE);
        brake.at = now;
        let may = brake.left >= 1.0;
        if may {
            brake.left -= 1.0;
        }
        may
    }
}

/// A token for those who configured none: 256 random bits, in hexadecimal.
pub(crate) fn random_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The one `Authorization: Bearer` token of a request (RFC 6750; the scheme's case does not matter, RFC 9110, 11.1).
fn bearer(request: &Request) -> Option<&str> {
    let mut values = request.headers().get_all(header::AUTHORIZATION).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// 401 without a known token, with the same body whatever was wrong; 403 for a reader who asks for a change.
pub(crate) async fn check(
    State(inner): State<Arc<Inner>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(role) = bearer(&request).and_then(|token| inner.auth.role_of(token)) else {
        if !inner.auth.may_fail(Instant::now()) {
            let problem = Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too many requests with a wrong token",
            );
            return Err(problem.with_header(header::RETRY_AFTER, "1"));
        }
        let problem = Problem::new(
            StatusCode::UNAUTHORIZED,
            "send `Authorization: Bearer TOKEN` with a token of this app",
        );
        return Err(problem.with_header(header::WWW_AUTHENTICATE, "Bearer realm=\"pitcrew\""));
    };
    // Every route that changes something is not a GET: the rule holds for routes that do not exist yet.
    let wanted = match *request.method() {
        Method::GET | Method::HEAD => Role::Reader,
        _ => Role::Operator,
    };
    if role < wanted {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "this needs a token with the operator role",
        ));
    }
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a9_wrong_tokens_are_braked_and_the_brake_is_released() {
        let auth = Auth::new([]);
        let now = Instant::now();
        let passed = (0..100).filter(|_| auth.may_fail(now)).count();
        assert_eq!(passed, 10);
        assert!(!auth.may_fail(now + Duration::from_millis(900)));
        assert!(auth.may_fail(now + Duration::from_secs(2)));
    }

    #[test]
    fn a_token_has_its_role_and_no_other_token_has_one() {
        let auth = Auth::new([
            ("reader-reader-reader".to_owned(), Role::Reader),
            ("operator-operator-operator".to_owned(), Role::Operator),
        ]);
        assert_eq!(auth.role_of("reader-reader-reader"), Some(Role::Reader));
        assert_eq!(
            auth.role_of("operator-operator-operator"),
            Some(Role::Operator)
        );
        for wrong in [
            "",
            "reader-reader-reade",
            "reader-reader-reader ",
            &"x".repeat(1 << 20),
        ] {
            assert_eq!(auth.role_of(wrong), None);
        }
    }
}

//! Sessions of browsers: `EventSource` sends no bearer token, so a login changes one for a cookie.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, header};

use super::identity::{Hash, hash, random_token};

/// The cookie's name.
pub(crate) const COOKIE: &str = "pitcrew_session";
/// So many sessions at a time; the one that was used longest ago goes.
pub(crate) const MAX_SESSIONS: usize = 256;
/// A session that nobody used for so long has ended.
pub(crate) const IDLE: Duration = Duration::from_secs(60 * 60);
/// No session lasts longer.
pub(crate) const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// The sessions, by the hash of their secret: who reads this memory cannot use them.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<Hash, Session>>);

#[derive(Debug)]
struct Session {
    /// The token that it was begun with: where that goes, the session goes.
    token: Hash,
    began: Instant,
    used: Instant,
}

impl Session {
    fn is_alive(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.used) < IDLE
            && now.saturating_duration_since(self.began) < LIFETIME
    }
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<Hash, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session with a secret of our own choice, never one that the client brought (session fixation).
    pub(crate) fn begin(&self, token: Hash, now: Instant) -> Result<String, getrandom::Error> {
        let secret = random_token()?;
        let mut sessions = self.lock();
        sessions.retain(|_, session| session.is_alive(now));
        if sessions.len() >= MAX_SESSIONS {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.used);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                sessions.remove(&oldest);
            }
        }
        let session = Session {
            token,
            began: now,
            used: now,
        };
        sessions.insert(hash(&secret), session);
        Ok(secret)
    }

    /// The token of a session that is alive.
    pub(crate) fn token_of(&self, secret: &str, now: Instant) -> Option<Hash> {
        let id = hash(secret);
        let mut sessions = self.lock();
        let session = sessions.get_mut(&id)?;
        if !session.is_alive(now) {
            sessions.remove(&id);
            return None;
        }
        session.used = now;
        Some(session.token)
    }

    /// The token of a session by the hash of its secret, if it is alive; looked at, not used.
    pub(crate) fn token_behind(&self, session: &Hash, now: Instant) -> Option<Hash> {
        let sessions = self.lock();
        let session = sessions.get(session)?;
        session.is_alive(now).then_some(session.token)
    }

    pub(crate) fn end(&self, secret: &str) {
        self.lock().remove(&hash(secret));
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }
}

/// The session's secret in a request; none where two are sent, for then nobody knows which of them is ours.
pub(crate) fn secret(headers: &HeaderMap) -> Option<&str> {
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value);
    let secret = found.next().filter(|secret| secret.len() == 64)?;
    found.next().is_none().then_some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Hash = [7; 32];

    #[test]
    fn a_session_ends_when_idle_and_at_the_latest_after_its_lifetime() {
        let sessions = Sessions::default();
        let now = Instant::now();
        let secret = sessions.begin(TOKEN, now).expect("random");
        assert_eq!(sessions.token_of(&secret, now), Some(TOKEN));
        let other = sessions.begin(TOKEN, now).expect("random");
        assert_ne!(secret, other);
        assert_eq!(sessions.token_of(&secret, now + IDLE), None);
        let mut at = now;
        while at < now + LIFETIME {
            assert_eq!(sessions.token_of(&other, at), Some(TOKEN));
            at += IDLE / 2;
        }
        assert_eq!(sessions.token_of(&other, now + LIFETIME), None);
        assert_eq!(sessions.count(), 0);
    }

    #[test]
    fn sessions_are_bounded_and_the_one_used_longest_ago_goes() {
        let sessions = Sessions::default();
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let first = sessions.begin(TOKEN, now).expect("random");
        let second = sessions.begin(TOKEN, now).expect("random");
        assert!(sessions.token_of(&first, later).is_some());
        for _ in 0..MAX_SESSIONS - 1 {
            sessions.begin(TOKEN, later).expect("random");
        }
        assert_eq!(sessions.count(), MAX_SESSIONS);
        assert!(sessions.token_of(&second, later).is_none());
        assert!(sessions.token_of(&first, later).is_some());
    }

    #[test]
    fn a_cookie_is_found_among_others_and_two_of_ours_are_none() {
        let cookies = |values: &[String]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::COOKIE, value.parse().expect("a value"));
            }
            secret(&headers).map(str::to_owned)
        };
        let (ours, other) = ("a".repeat(64), "b".repeat(64));
        assert_eq!(
            cookies(&[format!("x=1; {COOKIE}={ours}; y=2")]),
            Some(ours.clone())
        );
        assert_eq!(cookies(&[format!("x{COOKIE}={ours}")]), None);
        assert_eq!(cookies(&[format!("{COOKIE}=short")]), None);
        assert_eq!(
            cookies(&[format!("{COOKIE}={ours}; {COOKIE}={other}")]),
            None
        );
        assert_eq!(
            cookies(&[format!("{COOKIE}={ours}"), format!("{COOKIE}={other}")]),
            None
        );
    }
}

//! What a run is called, and what its load is told by.

use std::fmt;

use http::HeaderValue;

/// A run's id, and a secret of this run alone: who knows the secret can tell the run's requests from everybody else's, and nobody
/// else can pass for the run.
///
/// A text becomes one, with a secret of its own, so that [`start`](crate::start()) takes either.
#[derive(Clone)]
pub struct RunName {
    id: String,
    mark: String,
}

/// Bits of the secret: nobody guesses them while a run lasts.
const SECRET_BYTES: usize = 16;

impl RunName {
    /// A run with this id and a new secret of 128 bits, from the system's random numbers. Where the system has none, the mark is
    /// the id alone, which whoever looks for a secret does not take for one.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        let mut secret = [0; SECRET_BYTES];
        let mark = match getrandom::fill(&mut secret) {
            Ok(()) => format!("{id}.{:032x}", u128::from_be_bytes(secret)),
            Err(_) => id.clone(),
        };
        Self { id, mark }
    }

    /// The id: in reports, and in the names of PostgreSQL's sessions.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What [`RUN_HEADER`](crate::RUN_HEADER) carries: the id, a dot, and the secret as 32 hexadecimal digits. Not for logs while
    /// the run goes on.
    #[must_use]
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// The mark, unless the id holds what no header may.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.mark).ok()
    }
}

impl From<String> for RunName {
    fn from(id: String) -> Self {
        Self::new(id)
    }
}

impl From<&str> for RunName {
    fn from(id: &str) -> Self {
        Self::new(id)
    }
}

/// Without the secret.
impl fmt::Debug for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RunName").field(&self.id).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::RunName;

    #[test]
    fn each_run_has_a_secret_of_its_own_that_no_debug_output_shows() {
        let (one, other) = (RunName::new("7"), RunName::new("7"));
        assert_ne!(one.mark(), other.mark());
        let secret = one.mark().strip_prefix("7.").expect("begins with the id");
        assert_eq!(secret.len(), 32);
        assert!(!format!("{one:?}").contains(secret));
    }

    #[test]
    fn an_id_that_no_header_can_hold_marks_nothing() {
        assert!(RunName::new("a\nb").header().is_none());
        assert!(RunName::new("a b").header().is_some());
    }
}

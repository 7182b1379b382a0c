//! Who asks, and what they may do.

use std::fmt;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::BuildError;

/// The shortest token that is taken as text from configuration: 16 bytes.
pub(crate) const MIN_TOKEN_BYTES: usize = 16;
/// The longest token that is looked at. What is longer is wrong, unread.
pub(crate) const MAX_TOKEN_BYTES: usize = 1_024;
/// The longest name of a token's holder, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// What a token begins with that is given as its hash.
const HASHED: &str = "sha256:";

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// May look at everything.
    Reader,
    /// May look, and may do what changes something.
    Operator,
}

impl Role {
    /// `reader` or `operator`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
        }
    }
}

/// Who asks: a name for the audit, and a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Identity {
    /// As the audit shows it.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

impl Identity {
    /// Somebody that the host's own authentication knows. Control characters in `name` are replaced, and what is longer than
    /// 64 bytes is cut.
    pub fn new(name: impl Into<String>, role: Role) -> Self {
        let name: String = name.into();
        let mut cut = String::with_capacity(name.len().min(MAX_NAME_BYTES));
        for letter in name.chars() {
            let letter = if letter.is_control() { '?' } else { letter };
            if cut.len() + letter.len_utf8() > MAX_NAME_BYTES {
                break;
            }
            cut.push(letter);
        }
        Self { name: cut, role }
    }
}

/// The SHA-256 of a token: all that is kept of it.
pub(crate) type Hash = [u8; 32];

pub(crate) fn hash(text: &str) -> Hash {
    Sha256::digest(text.as_bytes()).into()
}

/// A bearer token: what its holder may do, and the name by which the audit knows them.
///
/// It is given as text of at least 16 bytes, or as `sha256:` and the 64 hexadecimal digits of its SHA-256
/// (`printf %s "$TOKEN" | sha256sum`), so that a configuration need not hold the secret.
#[derive(Clone)]
pub struct Token {
    secret: String,
    role: Role,
    name: Option<String>,
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Token");
        shown.field("role", &self.role).field("name", &self.name);
        shown.finish_non_exhaustive()
    }
}

/// A token as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) hash: Hash,
    pub(crate) identity: Identity,
}

impl Token {
    /// May only look.
    pub fn reader(secret: impl Into<String>) -> Self {
        Self::new(secret, Role::Reader)
    }

    /// May look and act.
    pub fn operator(secret: impl Into<String>) -> Self {
        Self::new(secret, Role::Operator)
    }

    fn new(secret: impl Into<String>, role: Role) -> Self {
        Self {
            secret: secret.into(),
            role,
            name: None,
        }
    }

    /// The holder's name in the audit: 1 to 64 bytes without control characters. Default: the role and the token's place among
    /// the configured ones, `operator-1`.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

/// Checks the tokens and keeps their hashes.
pub(crate) fn known(tokens: &[Token]) -> Result<Vec<Known>, BuildError> {
    let mut known = Vec::with_capacity(tokens.len());
    for (token, place) in tokens.iter().zip(1..) {
        let hash = match token.secret.strip_prefix(HASHED) {
            Some(digits) => parsed(digits).ok_or(BuildError::TokenHash)?,
            None if token.secret.len() < MIN_TOKEN_BYTES => return Err(BuildError::ShortToken),
            None if token.secret.len() > MAX_TOKEN_BYTES => return Err(BuildError::LongToken),
            None => hash(&token.secret),
        };
        let name = match &token.name {
            None => format!("{}-{place}", token.role.as_str()),
            Some(name)
                if name.is_empty()
                    || name.len() > MAX_NAME_BYTES
                    || name.chars().any(char::is_control) =>
            {
                return Err(BuildError::TokenName);
            }
            Some(name) => name.clone(),
        };
        if known.iter().any(|other: &Known| other.hash == hash) {
            return Err(BuildError::TokenTwice);
        }
        let identity = Identity {
            name,
            role: token.role,
        };
        known.push(Known { hash, identity });
    }
    Ok(known)
}

fn parsed(digits: &str) -> Option<Hash> {
    let digits = digits.trim();
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, place) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(digits.get(place..place + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// Bytes in hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A secret that nobody guesses: 256 random bits, in hexadecimal.
pub(crate) fn random_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hexadecimal(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_and_its_hash_are_the_same_token() {
        let text = "operator-operator-operator";
        let hashed = format!("sha256:{}", hexadecimal(&hash(text)));
        let of = |secret: &str| known(&[Token::operator(secret)]).expect("a token")[0].hash;
        assert_eq!(of(text), of(&hashed));
        assert_eq!(
            of(text),
            of(&hashed.to_uppercase().replace("SHA256", "sha256"))
        );
    }

    #[test]
    fn tokens_that_cannot_work_are_refused() {
        let refused = |tokens: &[Token]| known(tokens).expect_err("refused").to_string();
        assert!(refused(&[Token::reader("short")]).contains("16 bytes"));
        assert!(refused(&[Token::reader("x".repeat(2_000))]).contains("1024"));
        for hash in [
            "sha256:",
            "sha256:12",
            &format!("sha256:{}", "z".repeat(64)),
        ] {
            assert!(
                refused(&[Token::reader(hash)]).contains("64 hexadecimal"),
                "{hash}"
            );
        }
        let good = || Token::operator("operator-operator");
        for name in ["", "a\nb", &"x".repeat(65)] {
            assert!(refused(&[good().named(name)]).contains("name"), "{name}");
        }
        let both = [good(), Token::reader("operator-operator")];
        assert!(refused(&both).contains("twice"));
    }

    #[test]
    fn a14_a_name_from_the_host_holds_no_control_character_and_is_bounded() {
        let identity = Identity::new(format!("a\r\n\u{1b}[31m{}", "é".repeat(100)), Role::Reader);
        assert!(identity.name.len() <= 64, "{}", identity.name);
        assert!(identity.name.starts_with("a???[31mé"), "{}", identity.name);
    }
}

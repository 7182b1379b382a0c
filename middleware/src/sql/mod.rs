//! Texts of SQL statements, read as tokens and not with regular expressions: what two texts have in common, whoever asks.

#[cfg(feature = "query")]
mod exact;
#[cfg(feature = "statements")]
mod fingerprint;

use sqlparser::{
    dialect::PostgreSqlDialect,
    tokenizer::{Token, Tokenizer},
};

#[cfg(feature = "query")]
pub(crate) use self::exact::exact;
#[cfg(feature = "statements")]
pub(crate) use self::fingerprint::fingerprint;

/// Longer texts are not read: that would take longer than most statements.
pub(crate) const MAX_TEXT_BYTES: usize = 64 << 10;

/// The tokens of a text, without space, comments and semicolons; `None` where it is none of PostgreSQL, or longer than
/// [`MAX_TEXT_BYTES`].
fn tokens(text: &str) -> Option<impl Iterator<Item = Token>> {
    if text.len() > MAX_TEXT_BYTES {
        return None;
    }
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize();
    let says =
        |token: &Token| !matches!(token, Token::Whitespace(_) | Token::SemiColon | Token::EOF);
    Some(tokens.ok()?.into_iter().filter(says))
}

/// A token as the server reads it: what is not quoted in lower case, its ASCII letters alone.
fn folded(token: &Token) -> String {
    match token {
        Token::Word(word) if word.quote_style.is_none() => word.value.to_ascii_lowercase(),
        other => other.to_string(),
    }
}

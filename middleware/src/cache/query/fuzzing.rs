//! What holds for every text of a statement; see [`crate::cache::fuzzing`].

use sqlparser::{
    dialect::PostgreSqlDialect,
    tokenizer::{Token, Tokenizer},
};

use super::{
    refusal::Refusal,
    statement::{DEFAULT_SCHEMA, read},
};
use crate::sql::MAX_TEXT_BYTES;

/// The text of a statement. Its normal form says each of its tokens, and nothing else; space and comments around it mean
/// nothing.
pub fn statement(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let readable = read(&text, DEFAULT_SCHEMA);
    if text.len() > MAX_TEXT_BYTES {
        assert_eq!(readable, Err(Refusal::TooLong));
        return;
    }
    let Ok(readable) = readable else { return };
    assert_eq!(strings(&readable.normal), tokens(&text), "{text:?}");
    let spaced = format!("/* a */ -- b\n{text}\n\t-- c");
    if spaced.len() <= MAX_TEXT_BYTES {
        let spaced = read(&spaced, DEFAULT_SCHEMA);
        assert_eq!(spaced.as_ref(), Ok(&readable), "{text:?}");
    }
    for table in &readable.tables {
        assert!(table.contains('.'), "{table} has no schema");
    }
    let elsewhere = read(&text, "elsewhere").map(|other| other.normal);
    assert_eq!(elsewhere, Ok(readable.normal), "{text:?}");
}

/// The strings of a normal form, each behind its length. There is one way to read them.
fn strings(normal: &str) -> Vec<&str> {
    let mut strings = Vec::new();
    let mut rest = normal;
    while let Some((length, after)) = rest.split_once(':') {
        let (string, after) = after.split_at(length.parse().expect("a length"));
        strings.push(string);
        rest = after;
    }
    assert!(rest.is_empty(), "{normal:?}");
    strings
}

/// What a text says: its tokens with their quotes undone, but for space and semicolons, what is not quoted in lower case.
fn tokens(text: &str) -> Vec<String> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize();
    let tokens = tokens.expect("it was read before").into_iter();
    tokens
        .filter(|token| !matches!(token, Token::Whitespace(_) | Token::SemiColon))
        .map(|token| match token {
            Token::Word(word) if word.quote_style.is_none() => word.value.to_ascii_lowercase(),
            // Two kinds of strings never look alike.
            other => other.to_string(),
        })
        .collect()
}

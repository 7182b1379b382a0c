//! Texts with values in them.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::plan::{PlanError, wrong};

/// All but the unreserved characters (RFC 3986, 2.3): a value is one part of a path or of a query, whatever is in it.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A text whose names are places in a list of values.
#[derive(Debug, Default)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(String),
    Value { slot: usize, as_json: bool },
}

/// How values stand in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As they are.
    Plain,
    /// Percent-encoded.
    Path,
}

impl Template {
    /// `resolve` gives a name's place, or why there is none.
    pub(super) fn compile(
        text: &str,
        field: &str,
        resolve: &mut dyn FnMut(&str) -> Result<usize, String>,
    ) -> Result<Self, PlanError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, behind)) = after.split_once("}}") else {
                return wrong(field, "has a `{{` without its `}}`");
            };
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let (name, as_json) = match name.split_once('|') {
                None => (name.trim(), false),
                Some((name, filter)) if filter.trim() == "json" => (name.trim(), true),
                Some((_, filter)) => {
                    return wrong(
                        field,
                        format!(
                            "`{{{{{name}}}}}`: there is no filter `{}`, only `json`",
                            filter.trim()
                        ),
                    );
                }
            };
            match resolve(name) {
                Ok(slot) => pieces.push(Piece::Value { slot, as_json }),
                Err(reason) => return wrong(field, format!("`{{{{{name}}}}}`: {reason}")),
            }
            rest = behind;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    pub(super) fn render(&self, values: &[String], form: Form) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(own) => text.push_str(own),
                Piece::Value { slot, as_json } => {
                    let mut value = Cow::Borrowed(values[*slot].as_str());
                    if *as_json {
                        value = Cow::Owned(serde_json::Value::from(value.as_ref()).to_string());
                    }
                    match form {
                        Form::Plain => text.push_str(&value),
                        Form::Path => text.extend(utf8_percent_encode(&value, ENCODED)),
                    }
                }
            }
        }
        text
    }
}

/// Letters, digits, `_` and `-`, of which the first is a letter or `_`.
pub(super) fn is_name(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    text.bytes().next().is_some_and(is_letter)
        && text
            .bytes()
            .all(|byte| is_letter(byte) || byte.is_ascii_digit() || byte == b'-')
}

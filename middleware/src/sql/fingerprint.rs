//! The form that two texts share if they are one statement with other values: what a person calls "the same query".

use std::borrow::Cow;

use sqlparser::tokenizer::Token;

use super::{folded, tokens};

/// Bytes of a form that are kept to be shown; what is longer ends in `…`. Two long forms are told apart by the whole.
pub(crate) const MAX_SHOWN_BYTES: usize = 512;

/// Words that begin a statement on rows. `FETCH`, `BEGIN`, `SAVEPOINT` and others are repeated by their nature.
const ON_ROWS: [&str; 8] = [
    "select", "insert", "update", "delete", "merge", "with", "values", "table",
];

/// What a text is, without its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// The whole form.
    pub(crate) form: String,
    /// It reads or writes rows, so that running it often in one request may be one statement instead.
    pub(crate) is_on_rows: bool,
}

impl Fingerprint {
    /// As much of the form as is shown.
    pub(crate) fn shown(&self) -> Cow<'_, str> {
        if self.form.len() <= MAX_SHOWN_BYTES {
            return Cow::Borrowed(&self.form);
        }
        let mut end = MAX_SHOWN_BYTES;
        while !self.form.is_char_boundary(end) {
            end -= 1;
        }
        Cow::Owned(format!("{}…", &self.form[..end]))
    }
}

/// The form of a text: constants and parameters become `?`, lists of them one `?`, rows of them one row; space, comments and the
/// case of what is not quoted mean nothing. No value of the text is in it. `None` where the text cannot be read.
pub(crate) fn fingerprint(text: &str) -> Option<Fingerprint> {
    let mut pieces: Vec<Cow<'static, str>> = Vec::new();
    for token in tokens(text)? {
        if is_value(&token) {
            value(&mut pieces);
        } else {
            let folded = folded(&token);
            let is_row = folded == ")";
            pieces.push(Cow::Owned(folded));
            if is_row {
                row(&mut pieces);
            }
        }
    }
    let is_on_rows = pieces
        .iter()
        .find(|piece| *piece != "(")
        .is_some_and(|first| ON_ROWS.contains(&first.as_ref()));
    Some(Fingerprint {
        form: joined(&pieces),
        is_on_rows,
    })
}

fn is_value(token: &Token) -> bool {
    matches!(
        token,
        Token::Number(..)
            | Token::Placeholder(_)
            | Token::SingleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_)
    )
}

/// `?, ?` is `?`: how long a list is makes no other statement.
fn value(pieces: &mut Vec<Cow<'static, str>>) {
    if let [.., before, comma] = pieces.as_slice()
        && before == "?"
        && comma == ","
    {
        pieces.pop();
        return;
    }
    pieces.push(Cow::Borrowed("?"));
}

/// `(?), (?)` is `(?)`: nor is it another with more rows.
fn row(pieces: &mut Vec<Cow<'static, str>>) {
    let twice = ["(", "?", ")", ",", "(", "?", ")"];
    if pieces.len() >= twice.len() {
        let tail = &pieces[pieces.len() - twice.len()..];
        if tail
            .iter()
            .zip(twice)
            .all(|(piece, wanted)| piece == wanted)
        {
            pieces.truncate(pieces.len() - 4);
        }
    }
}

fn joined(pieces: &[Cow<'static, str>]) -> String {
    let mut form = String::with_capacity(pieces.iter().map(|piece| piece.len() + 1).sum());
    let mut tight = true;
    for piece in pieces {
        let closes = matches!(piece.as_ref(), ")" | "," | "." | "]" | "::" | "[");
        if !tight && !closes {
            form.push(' ');
        }
        form.push_str(piece);
        tight = matches!(piece.as_ref(), "(" | "." | "[" | "::");
    }
    form
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(text: &str) -> String {
        fingerprint(text).unwrap().form
    }

    #[test]
    fn values_space_comments_and_case_make_no_other_statement() {
        let wanted = "select name from parts where id = ?";
        for text in [
            "SELECT name FROM parts WHERE id = $1",
            "select name from parts where id=7 -- the seventh",
            "select  name\nfrom PARTS where id = 'x''y';",
            "select name from parts where id = $tag$ secret $tag$",
        ] {
            assert_eq!(form(text), wanted, "{text}");
        }
        assert_ne!(form("select \"Name\" from parts where id = 1"), wanted);
    }

    #[test]
    fn lists_and_rows_of_any_length_are_one_statement() {
        assert_eq!(
            form("select 1 from t where id in ($1, $2, $3)"),
            form("select 1 from t where id in (7)")
        );
        assert_eq!(
            form("insert into t (a, b) values (1, 'a'), (2, 'b'), (3, 'c')"),
            "insert into t (a, b) values (?)"
        );
        assert_eq!(
            form("select * from unnest($1::int[]) as u(id)"),
            "select * from unnest (?::int[]) as u (id)"
        );
    }

    #[test]
    fn what_is_on_rows_is_told_from_what_is_repeated_by_nature() {
        for text in [
            "SELECT 1",
            "(select 1) union (select 2)",
            "with a as (select 1) select * from a",
            "insert into t values (1)",
        ] {
            assert!(fingerprint(text).unwrap().is_on_rows, "{text}");
        }
        for text in ["fetch 100 from c", "BEGIN", "savepoint a", "set x = 1", ""] {
            assert!(!fingerprint(text).unwrap().is_on_rows, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_has_no_form_and_long_forms_are_cut() {
        assert_eq!(fingerprint("select 'x"), None);
        assert_eq!(
            fingerprint(&"x ".repeat(super::super::MAX_TEXT_BYTES)),
            None
        );
        let long = fingerprint(&format!("select {} from t", "é".repeat(600))).unwrap();
        assert!(long.shown().len() <= MAX_SHOWN_BYTES + '…'.len_utf8());
        assert!(long.shown().ends_with('…'));
    }

    proptest! {
        /// A value never shows, whatever it is.
        #[test]
        fn no_value_is_in_the_form(value in "[a-z0-9]{8,20}", other in 1_000_000_u64..) {
            let text = format!("select a from t where b = 'x{value}' and c = {other} and d = E'{value}'");
            let shown = form(&text);
            prop_assert!(!shown.contains(&value), "{}", shown);
            prop_assert!(!shown.contains(&other.to_string()), "{}", shown);
        }

        /// The form of a form is the form, so that texts that were normalised elsewhere meet.
        #[test]
        fn a_form_is_its_own_form(columns in prop::collection::vec("[a-z]{1,6}", 1..5), ids in prop::collection::vec(any::<u32>(), 1..9)) {
            let ids: Vec<_> = ids.iter().map(u32::to_string).collect();
            let text = format!("SELECT c_{} FROM t WHERE id IN ({})", columns.join(", c_"), ids.join(","));
            let once = form(&text);
            let again = form(&once.replace('?', "$1"));
            prop_assert_eq!(again, once);
        }
    }
}

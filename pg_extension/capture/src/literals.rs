//! A text without what somebody wrote into it: strings, numbers and comments go, names and keywords stay.
//!
//! Called in a hook: it allocates nothing and cannot panic. Where the end of a literal depends on a setting
//! (`standard_conforming_strings`), the rest of the text is left out rather than guessed.

/// What stands in a literal's place.
const INSTEAD: &[u8] = b"?";
/// What ends a text whose rest is left out.
const CUT: &[u8] = b"...";

/// Hands the parts of `text` that may be shown to `keep`, until that answers `false`. Answers whether all were taken.
pub fn without_literals(text: &[u8], keep: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    let mut rest = text;
    // An operator or bracket before a digit: `t1` is a name, `t+1` is not.
    while let Some(&first) = rest.first() {
        let token = token(first, rest);
        let (taken, after) = rest.split_at(token.length.clamp(1, rest.len()));
        let kept = match token.kind {
            Kind::Kept => keep(taken),
            Kind::Literal => keep(INSTEAD),
            Kind::Comment => keep(b" "),
            Kind::Cut => return keep(INSTEAD) && keep(CUT),
        };
        if !kept {
            return false;
        }
        rest = after;
    }
    true
}

/// A hash of what may be shown: equal for texts that differ in their literals alone. Never 0.
#[must_use]
pub fn hash_without_literals(text: &[u8]) -> u64 {
    let mut hash = 0;
    without_literals(text, &mut |part| {
        hash = part
            .iter()
            .fold(hash, |hash, byte| crate::mix(hash, u64::from(*byte)));
        true
    });
    hash | 1
}

/// The same as a text of its own.
#[must_use]
pub fn written_without_literals(text: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(text.len());
    without_literals(text, &mut |part| {
        written.extend_from_slice(part);
        true
    });
    written
}

/// What a piece of a text is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A name, a parameter, or a single character.
    Kept,
    /// Anything else.
    Other,
}

/// The pieces of a text, each with its length.
pub(crate) fn pieces(text: &[u8]) -> impl Iterator<Item = (Piece, usize)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let token = token(*rest.first()?, rest);
        let length = token.length.clamp(1, rest.len());
        rest = rest.get(length..)?;
        let piece = match token.kind {
            Kind::Kept => Piece::Kept,
            _ => Piece::Other,
        };
        Some((piece, length))
    })
}

enum Kind {
    Kept,
    Literal,
    Comment,
    /// Where it ends cannot be told.
    Cut,
}

struct Token {
    kind: Kind,
    length: usize,
}

fn token(first: u8, rest: &[u8]) -> Token {
    let at = |position: usize| rest.get(position).copied().unwrap_or(0);
    match first {
        b'\'' => string(rest, 0, false),
        b'e' | b'E' if at(1) == b'\'' => string(rest, 1, true),
        b'b' | b'B' | b'x' | b'X' | b'n' | b'N' if at(1) == b'\'' => string(rest, 1, false),
        b'u' | b'U' if at(1) == b'&' && at(2) == b'\'' => string(rest, 2, false),
        b'"' => quoted_name(rest),
        b'-' if at(1) == b'-' => {
            let end = rest.iter().position(|byte| *byte == b'\n');
            found(Kind::Comment, end.unwrap_or(rest.len()))
        }
        b'/' if at(1) == b'*' => comment(rest),
        b'$' if at(1).is_ascii_digit() => {
            found(Kind::Kept, 1 + run(rest, 1, |byte| byte.is_ascii_digit()))
        }
        b'$' => dollar_quoted(rest),
        b'0'..=b'9' => number(rest),
        b'.' if at(1).is_ascii_digit() => number(rest),
        byte if is_name_start(byte) => found(Kind::Kept, run(rest, 0, is_name)),
        _ => found(Kind::Kept, 1),
    }
}

fn found(kind: Kind, length: usize) -> Token {
    Token { kind, length }
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_name(byte: u8) -> bool {
    is_name_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// How many bytes from `start` on pass.
fn run(rest: &[u8], start: usize, passes: impl Fn(u8) -> bool) -> usize {
    let from = rest.get(start..).unwrap_or_default();
    from.iter().take_while(|byte| passes(**byte)).count()
}

/// A string whose quote stands at `quote`.
fn string(rest: &[u8], quote: usize, has_escapes: bool) -> Token {
    let mut position = quote + 1;
    let mut backslashes = 0_usize;
    while let Some(&byte) = rest.get(position) {
        match byte {
            b'\\' => backslashes += 1,
            b'\'' => {
                let is_escaped = backslashes % 2 == 1;
                if is_escaped && !has_escapes {
                    return found(Kind::Cut, rest.len());
                }
                if !is_escaped {
                    if rest.get(position + 1) != Some(&b'\'') {
                        return found(Kind::Literal, position + 1);
                    }
                    position += 1;
                }
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        position += 1;
    }
    found(Kind::Cut, rest.len())
}

fn quoted_name(rest: &[u8]) -> Token {
    let mut position = 1;
    while let Some(&byte) = rest.get(position) {
        if byte == b'"' {
            if rest.get(position + 1) != Some(&b'"') {
                return found(Kind::Kept, position + 1);
            }
            position += 1;
        }
        position += 1;
    }
    found(Kind::Cut, rest.len())
}

/// Comments nest.
fn comment(rest: &[u8]) -> Token {
    let mut depth = 0_u32;
    let mut position = 0;
    while let Some(pair) = rest.get(position..position + 2) {
        match pair {
            b"/*" => {
                depth = depth.saturating_add(1);
                position += 2;
            }
            b"*/" => {
                depth = depth.saturating_sub(1);
                position += 2;
                if depth == 0 {
                    return found(Kind::Comment, position);
                }
            }
            _ => position += 1,
        }
    }
    found(Kind::Cut, rest.len())
}

/// `$$ ... $$` and `$tag$ ... $tag$`; a lone `$` is kept.
fn dollar_quoted(rest: &[u8]) -> Token {
    let name = run(rest, 1, |byte| is_name(byte) && byte != b'$');
    let Some(tag) = rest.get(..name + 2).filter(|tag| tag.last() == Some(&b'$')) else {
        return found(Kind::Kept, 1);
    };
    let body = rest.get(tag.len()..).unwrap_or_default();
    match body.windows(tag.len()).position(|window| window == tag) {
        Some(end) => found(Kind::Literal, tag.len() + end + tag.len()),
        None => found(Kind::Cut, rest.len()),
    }
}

/// Digits, a point, an exponent, other bases; what stands right behind belongs to it, too.
fn number(rest: &[u8]) -> Token {
    let mut position = 1;
    while let Some(&byte) = rest.get(position) {
        let before = rest.get(position - 1).copied().unwrap_or(0);
        let next = rest.get(position + 1).copied().unwrap_or(0);
        let is_exponent_sign =
            matches!(byte, b'+' | b'-') && matches!(before, b'e' | b'E') && next.is_ascii_digit();
        // `1..10` of a loop ends before the points.
        let is_point = byte == b'.' && next != b'.';
        if !(byte.is_ascii_alphanumeric() || byte == b'_' || is_point || is_exponent_sign) {
            break;
        }
        position += 1;
    }
    found(Kind::Literal, position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        String::from_utf8(written_without_literals(text.as_bytes())).unwrap()
    }

    #[test]
    fn literals_and_comments_go() {
        for (text, wanted) in [
            ("SELECT 1", "SELECT ?"),
            (
                "SELECT * FROM t1 WHERE a2 = 'x' AND b=-1.5e-7",
                "SELECT * FROM t1 WHERE a2 = ? AND b=-?",
            ),
            (
                "SELECT 'it''s', E'a\\'b', $1, $$x$$, $t$ $$ y $t$",
                "SELECT ?, ?, $1, ?, ?",
            ),
            (
                "SELECT \"a'b\", \"c\"\"1\" FROM x",
                "SELECT \"a'b\", \"c\"\"1\" FROM x",
            ),
            ("SELECT 1 -- secret\n, 2", "SELECT ?  \n, ?"),
            ("/* a /* b */ c */ SELECT x", "  SELECT x"),
            (
                "SELECT date '2020-01-01' + interval '1' day",
                "SELECT date ? + interval ? day",
            ),
            ("SELECT B'01', x'ff', U&'\\0041', n'a'", "SELECT ?, ?, ?, ?"),
            (
                "SELECT .5, 0x1f, 1_000, a.b, t$1",
                "SELECT ?, ?, ?, a.b, t$1",
            ),
            ("SELECT ä1 FROM \"ü\"", "SELECT ä1 FROM \"ü\""),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_cut() {
        // With standard_conforming_strings off this string goes on behind the quote.
        for text in [
            "SELECT 'a\\' || secret || '",
            "SELECT 'never closed secret",
            "SELECT $a$ secret",
            "SELECT /* secret",
            "SELECT \"secret",
        ] {
            assert_eq!(shown(text), "SELECT ?...", "{text}");
        }
    }

    #[test]
    fn texts_that_differ_in_literals_have_one_hash() {
        let hash = |text: &str| hash_without_literals(text.as_bytes());
        assert_eq!(hash("SELECT 'a', 1"), hash("SELECT 'bc', 22"));
        assert_ne!(hash("SELECT 'a', 1"), hash("SELECT 'a' , 1"));
    }

    #[test]
    fn a_keeper_that_is_full_ends_it() {
        let mut taken = Vec::new();
        let whole = without_literals(b"SELECT a, b, c", &mut |part| {
            taken.extend_from_slice(part);
            taken.len() < 8
        });
        assert!(!whole);
        assert_eq!(taken, b"SELECT a");
    }

    proptest! {
        #[test]
        fn no_secret_is_left(secret in "[b-z]{6}", before in "[ a-d0-9'$\"/*-]{0,6}", after in "[ a'$\"]{0,6}") {
            // Whatever stands around it: a quoted secret is shown only where its quotes are not a string's.
            let text = format!("{before} 'QX{secret}' {after}");
            let quotes = before.matches('\'').count();
            let plain = !before.contains(['$', '"', '/', '-', '*']);
            if plain && quotes % 2 == 0 {
                let needle = format!("QX{secret}");
                prop_assert!(!shown(&text).contains(&needle), "{}", text);
            }
        }

        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let written = written_without_literals(&bytes);
            prop_assert!(written.len() <= bytes.len() * 2 + 8);
        }
    }
}

//! Texts of pg_stat_statements, whose constants are `$1`, `$2`: what is at a place that the server does not understand.
//!
//! A constant may stand where a parameter may not (`date '2024-01-01'` becomes `date $1`), and has a type where a parameter has
//! none (`0.06 - 0.01` becomes `$1 - $2`).

use crate::literals::{Piece, pieces};

/// Elements of a list that the server shortened: as many as its planner takes an unknown array to have.
const UNKNOWN_ELEMENTS: usize = 10;
/// What stands in a list's text behind its only element that is left (PostgreSQL 18).
const SHORTENED: &str = " /*, ... */";

/// A name, a parameter, or a character that is neither; comments and strings are left out.
#[derive(Clone, Copy)]
struct Word<'a> {
    start: usize,
    text: &'a str,
}

impl Word<'_> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// The number behind the `$`.
    fn parameter(&self) -> Option<usize> {
        self.text.strip_prefix('$')?.parse().ok()
    }

    fn is(&self, keyword: &str) -> bool {
        self.text.eq_ignore_ascii_case(keyword)
    }

    fn is_name(&self) -> bool {
        let first = self.text.chars().next();
        first.is_some_and(|first| first.is_alphabetic() || first == '_' || first == '"')
    }
}

fn words(text: &str) -> Vec<Word<'_>> {
    let mut start = 0;
    let mut found = Vec::new();
    for (piece, length) in pieces(text.as_bytes()) {
        if let (Piece::Kept, Some(text)) = (piece, text.get(start..start + length))
            && !text.trim().is_empty()
        {
            found.push(Word { start, text });
        }
        start += length;
    }
    found
}

/// The text with lists of parameters that the server shortened as lists again.
#[must_use]
pub fn with_whole_lists(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(SHORTENED) {
        written.push_str(before);
        let start = before.rfind('$').unwrap_or(before.len());
        let element = format!(", {}", &before[start..]);
        written.push_str(&element.repeat(UNKNOWN_ELEMENTS - 1));
        rest = after;
    }
    written.push_str(rest);
    written
}

/// The text with the constant at byte `at` as one that may be a parameter: `$1::date` for `date $1`, and a field for the one of
/// EXTRACT; `None` where it is neither.
#[must_use]
pub fn with_typed_literal(text: &str, at: usize) -> Option<String> {
    let words = words(text);
    let place = words.iter().position(|word| word.start == at)?;
    let literal = words[place];
    literal.parameter()?;
    let before = |count: usize| place.checked_sub(count).map(|at| words[at]);
    let previous = before(1)?;
    if previous.text == "(" && before(2)?.is("extract") {
        // Which field makes no difference to a plan.
        return Some(format!(
            "{}year{}",
            &text[..literal.start],
            &text[literal.end()..]
        ));
    }
    if !previous.is_name() {
        return None;
    }
    let mut first = previous;
    if previous.is("precision") {
        first = before(2).filter(|word| word.is("double"))?;
    } else if previous.is("zone") {
        first = before(4)?;
    }
    let type_name = &text[first.start..previous.end()];
    Some(format!(
        "{}{}::{type_name}{}",
        &text[..first.start],
        literal.text,
        &text[literal.end()..]
    ))
}

/// Parameters whose type decides what is at byte `at`: the operands of an operator, or the values that a function's argument can
/// have; by their numbers.
#[must_use]
pub fn parameters_at(text: &str, at: usize) -> Vec<usize> {
    let words = words(text);
    let Some(place) = words.iter().position(|word| word.start == at) else {
        return Vec::new();
    };
    if let Some(number) = words[place].parameter() {
        return vec![number];
    }
    if words[place].is_name() && words.get(place + 1).is_some_and(|next| next.text == "(") {
        return arguments(&words[place + 1..]);
    }
    let is_operand = |word: &&Word<'_>| word.text != "(" && word.text != ")";
    let left = words[..place].iter().rev().find(is_operand);
    // `<=` and its like are several characters.
    let is_operator = |word: &&Word<'_>| "+-*/<>=~!@#%^&|`?".contains(word.text);
    let behind = words[place..].iter().skip_while(is_operator);
    let right = behind.clone().find(is_operand);
    left.into_iter()
        .chain(right)
        .filter_map(Word::parameter)
        .collect()
}

/// Parameters that are values of arguments; not those that arguments are compared with.
fn arguments(words: &[Word<'_>]) -> Vec<usize> {
    let mut depth = 0_usize;
    let mut found = Vec::new();
    for pair in words.windows(2) {
        match pair[0].text {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            break;
        }
        let is_value =
            matches!(pair[0].text, "(" | ",") || pair[0].is("then") || pair[0].is("else");
        found.extend(pair[1].parameter().filter(|_| is_value));
    }
    found
}

/// Names around byte `at`, the nearest first: columns whose type a parameter there could have.
#[must_use]
pub fn names_around(text: &str, at: usize) -> Vec<&str> {
    /// Names further away belong to something else.
    const NEAR: usize = 8;
    let words = words(text);
    let place = words.partition_point(|word| word.start < at);
    let names = |words: &mut dyn Iterator<Item = &Word<'_>>, found: &mut Vec<(usize, usize)>| {
        for (distance, word) in words.take(NEAR).enumerate() {
            if word.is_name() {
                found.push((distance, word.start));
            }
        }
    };
    let mut found = Vec::new();
    names(&mut words[..place].iter().rev(), &mut found);
    names(&mut words[place..].iter(), &mut found);
    found.sort_by_key(|(distance, _)| *distance);
    let name = |start: usize| {
        words
            .iter()
            .find(|word| word.start == start)
            .map(|word| word.text)
    };
    found
        .into_iter()
        .filter_map(|(_, start)| name(start))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, place: &str) -> usize {
        text.find(place).unwrap_or(text.len())
    }

    #[test]
    fn a_typed_literal_becomes_a_cast() {
        for (text, place, wanted) in [
            ("SELECT date $1", "$1", "SELECT $1::date"),
            (
                "SELECT a - interval $12 day",
                "$12",
                "SELECT a - $12::interval day",
            ),
            (
                "SELECT timestamp with time zone $1 + b",
                "$1",
                "SELECT $1::timestamp with time zone + b",
            ),
            (
                "SELECT double precision $1",
                "$1",
                "SELECT $1::double precision",
            ),
            (
                "SELECT extract($1 from d)",
                "$1",
                "SELECT extract(year from d)",
            ),
        ] {
            assert_eq!(
                with_typed_literal(text, at(text, place)).as_deref(),
                Some(wanted)
            );
        }
        for (text, place) in [("SELECT ($1", "$1"), ("SELECT date x", "x"), ("", "")] {
            assert_eq!(with_typed_literal(text, at(text, place)), None, "{text}");
        }
    }

    #[test]
    fn a_shortened_list_is_a_list_again() {
        let text = with_whole_lists("SELECT 1 WHERE a IN ($1 /*, ... */) AND b = $2");
        assert_eq!(text.matches("$1").count(), 10);
        assert!(text.ends_with("$1) AND b = $2"), "{text}");
        assert_eq!(with_whole_lists("SELECT $1 /* x */"), "SELECT $1 /* x */");
    }

    #[test]
    fn operands_and_values_are_what_a_type_is_missing_of() {
        let text = "SELECT sum(CASE WHEN a = $1 THEN $2 ELSE $3 END) WHERE b BETWEEN $4 - $5 AND ($6) <= c";
        assert_eq!(parameters_at(text, at(text, "sum")), [2, 3]);
        assert_eq!(parameters_at(text, at(text, "- $5")), [4, 5]);
        assert_eq!(parameters_at(text, at(text, "<=")), [6]);
        assert_eq!(parameters_at(text, at(text, "$6")), [6]);
        assert!(parameters_at(text, text.len()).is_empty());
    }

    #[test]
    fn the_nearest_name_is_the_first() {
        let text = "WHERE l_discount BETWEEN $4 - $5 AND $6 + $7";
        let names = names_around(text, at(text, "- $5"));
        let place = names.iter().position(|name| *name == "l_discount");
        assert!(place.is_some_and(|place| place < 3), "{names:?}");
    }

    proptest::proptest! {
        #[test]
        fn nothing_breaks_on_any_text(text in ".{0,200}", at in 0_usize..220) {
            let _ = with_whole_lists(&text);
            let _ = with_typed_literal(&text, at);
            let _ = parameters_at(&text, at);
            let _ = names_around(&text, at);
        }
    }
}

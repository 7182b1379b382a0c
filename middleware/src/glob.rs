//! Globs: `*` is any run of characters, `?` any one.

/// What holding a glob against a text has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    Yes,
    No,
    /// It would take too long to know.
    Undecided,
}

/// Steps for each byte of a glob and its text: one pass takes one, and globs that people write little more. Without a bound a
/// glob like `*aaa*aab` takes their product on a path of `a`s, and 1,024 of them seconds.
const STEPS_A_BYTE: usize = 4;

/// Whether a text looks like a glob. No allocation, and time of at most [`STEPS_A_BYTE`] for each byte of both.
pub(crate) fn matches(glob: &str, text: &str) -> Match {
    // A prefix, which is what most are.
    if let Some(prefix) = glob.strip_suffix('*')
        && !prefix.contains(['*', '?'])
    {
        return Match::from(text.starts_with(prefix));
    }
    let mut steps = STEPS_A_BYTE * (glob.len() + text.len());
    let (glob, text) = (glob.as_bytes(), text.as_bytes());
    let (mut at, mut read) = (0, 0);
    // The last star, and how much of the text it has taken: what an earlier one takes need never be looked at again.
    let mut star = None;
    while read < text.len() {
        if steps == 0 {
            return Match::Undecided;
        }
        steps -= 1;
        match glob.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(b'?') => {
                at += 1;
                read = after_character(text, read);
            }
            Some(wanted) if *wanted == text[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((after, taken)) = star else {
                    return Match::No;
                };
                let taken = after_character(text, taken);
                star = Some((after, taken));
                at = after + 1;
                read = taken;
            }
        }
    }
    Match::from(glob[at..].iter().all(|left| *left == b'*'))
}

impl From<bool> for Match {
    fn from(is_one: bool) -> Self {
        if is_one { Self::Yes } else { Self::No }
    }
}

/// Where the character that begins at `at` ends.
fn after_character(text: &[u8], at: usize) -> usize {
    let rest = text[at + 1..].iter();
    let is_continued = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
    at + 1 + rest.take_while(is_continued).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn globs() {
        for (glob, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("/a/*", "/a/b/c", true),
            ("/a/*", "/b", false),
            ("*.png", "/x.png.png", true),
            ("*.png", "/x.pngs", false),
            ("/?/x", "/é/x", true),
            ("/?/x", "//x", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
        ] {
            assert_eq!(matches(glob, text), Match::from(expected), "{glob} {text}");
        }
    }

    /// By definition, without a thought of how long it takes.
    fn reference(glob: &[char], text: &[char]) -> bool {
        match (glob, text) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=text.len()).any(|taken| reference(rest, &text[taken..])),
            (['?', glob @ ..], [_, text @ ..]) => reference(glob, text),
            ([wanted, glob @ ..], [first, text @ ..]) if wanted == first => reference(glob, text),
            _ => false,
        }
    }

    proptest! {
        /// Where it is decided it is right; and where one pass decides it is decided.
        #[test]
        fn globs_are_what_they_are_by_definition(glob in "[ab/é*?]{0,7}", text in "[ab/é]{0,9}") {
            let (chars, letters): (Vec<_>, Vec<_>) = (glob.chars().collect(), text.chars().collect());
            let found = matches(&glob, &text);
            if found != Match::Undecided {
                prop_assert_eq!(found, Match::from(reference(&chars, &letters)));
            }
            if !glob.trim_end_matches('*').contains('*') {
                prop_assert_ne!(found, Match::Undecided);
            }
        }
    }

    #[test]
    fn globs_that_people_write_are_decided_on_the_longest_paths() {
        let long = format!("/api/{}/items/7?page=2", "orders/".repeat(1_100));
        for (glob, expected) in [
            ("/api/*/items/*", true),
            ("*/items/?", false),
            ("*page=*", true),
            ("*/orders/*/orders/*/items/?\u{3f}page=2", true),
            ("*.png", false),
        ] {
            assert_eq!(matches(glob, &long), Match::from(expected), "{glob}");
        }
    }
}

//! What of a statement's text may be shown.
//!
//! pg_stat_statements takes constants out of statements that are planned. A utility statement stands there as it was written:
//! `CREATE ROLE app PASSWORD 'secret'`, `COPY (SELECT 'secret') TO ...`. So of those no more than the verb is shown.

/// First words of statements whose constants are taken out.
const PLANNED: [&str; 8] = [
    "select", "insert", "update", "delete", "merge", "with", "values", "table",
];

/// The text, or its first two words where it may hold what somebody wrote into it.
pub(crate) fn shown(text: &str) -> String {
    let mut words = without_comments(text).split_whitespace();
    let first = words.next().unwrap_or_default();
    // `(SELECT ...) UNION ...`
    let verb = first.trim_start_matches('(');
    let verb: String = verb.chars().take_while(char::is_ascii_alphabetic).collect();
    if PLANNED.contains(&verb.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    let second = words.next().unwrap_or_default();
    let is_word = |word: &str| {
        word.bytes()
            .all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
    };
    if !second.is_empty() && is_word(second) {
        format!("{verb} {second} ...")
    } else {
        format!("{verb} ...")
    }
}

/// What stands behind the comments that a client or a framework put before a statement.
fn without_comments(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        let rest = if let Some(line) = text.strip_prefix("--") {
            line.split_once('\n').map(|(_, rest)| rest)
        } else if let Some(block) = text.strip_prefix("/*") {
            block.split_once("*/").map(|(_, rest)| rest)
        } else {
            return text;
        };
        text = rest.unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_utility_statements_the_verb_is_shown() {
        for (text, wanted) in [
            ("CREATE ROLE app LOGIN PASSWORD 'secret'", "CREATE ROLE ..."),
            ("alter user x password 'secret'", "alter user ..."),
            ("COPY (SELECT 'secret') TO STDOUT", "COPY ..."),
            ("DO $$ begin perform 'secret'; end $$", "DO ..."),
            (
                "/* app */ -- x\n CREATE USER MAPPING FOR y OPTIONS (password 'secret')",
                "CREATE USER ...",
            ),
            ("SET pitcrew.x = 'secret'", "SET ..."),
            ("EXPLAIN SELECT 'secret'", "EXPLAIN SELECT ..."),
            ("/* never closed", " ..."),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
    }

    #[test]
    fn planned_statements_are_shown_whole() {
        for text in [
            "SELECT $1",
            "  with x as (select $1) select * from x",
            "(select $1) union (select $2)",
            "/* route */ update t set a = $1",
            "VALUES ($1)",
        ] {
            assert_eq!(shown(text), text);
        }
    }
}

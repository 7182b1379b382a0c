//! Texts for functions that plan what they are given.

use super::statements;
use crate::bench::choices::Choices;

/// Mostly a statement that can be planned; else something that cannot, or should not.
pub(super) fn query(choices: &mut Choices) -> String {
    match choices.below(12) {
        0 => choices
            .one(&[
                "",
                ";",
                "SELECT",
                "SELECT 1; SELECT 2",
                "SELECT 1; DROP TABLE plain",
                "VACUUM plain",
                "COPY plain TO STDOUT",
                "BEGIN",
                "COMMIT",
                "EXPLAIN SELECT 1",
                "CREATE TABLE no_table AS SELECT 1",
                "DECLARE c CURSOR FOR SELECT 1",
                "PREPARE p AS SELECT 1",
                "DO $$ BEGIN END $$",
                "LISTEN x",
                "SET pitcrew.capture = off",
                "SELECT nextval('counter')",
                "SELECT pg_terminate_backend(pg_backend_pid())",
                "SELECT pg_sleep(100)",
                "SELECT slowly(1)",
                "SELECT * FROM plain WHERE id = $1 AND $2 = $70000",
                "SELECT $1",
                "SELECT $0",
                "SELECT $1::nothing",
                "SELECT 1 FROM nowhere",
                "SELECT 1/0",
                "TABLE plain",
                "VALUES (1), (2)",
                "SELECT failing(id) FROM plain WHERE failing(1) = 1",
                "MERGE INTO plain p USING wide w ON p.id = w.id WHEN MATCHED THEN DO NOTHING",
            ])
            .to_owned(),
        1 => many_tables(choices),
        2 => format!(
            "SELECT * FROM plain WHERE id IN ({}1)",
            "1,".repeat(choices.below(5_000))
        ),
        3 => format!("SELECT {}1", "1 + ".repeat(choices.below(3_000))),
        4 => format!(
            "SELECT {}1{}",
            "(".repeat(choices.below(3_000)),
            ")".repeat(choices.below(3_000))
        ),
        5 => format!("SELECT '{}'", "x".repeat(100_000)),
        _ => statements::any(choices),
    }
}

/// Joins as nobody writes them, but some tools do.
fn many_tables(choices: &mut Choices) -> String {
    let count = 2 + choices.below(99);
    let from: Vec<String> = (0..count).map(|n| format!("plain t{n}")).collect();
    let joins: Vec<String> = (1..count)
        .map(|n| format!("t{n}.id = t{}.id", n - 1))
        .collect();
    format!(
        "SELECT count(*) FROM {} WHERE {}",
        from.join(", "),
        joins.join(" AND ")
    )
}

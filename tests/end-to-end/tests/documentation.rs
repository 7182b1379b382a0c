//! The SQL that the pages show is run as it stands there.

use pitcrew_stack::{require, testing};

const PAGES: [(&str, &str); 2] = [
    ("README.md", include_str!("../../../README.md")),
    ("CHANGELOG.md", include_str!("../../../CHANGELOG.md")),
];
/// What the examples take for granted: no extension yet, a table, a role.
const GIVEN: [&str; 3] = [
    "DROP EXTENSION pg_pitcrew",
    "CREATE TABLE public.orders (id int, customer int)",
    "DO $$ BEGIN CREATE ROLE app; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
];

/// The statements of a page's `sql` blocks; an indented block belongs to a list.
fn statements(page: &str) -> Vec<String> {
    let blocks = page.split("```sql\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split("```").next());
    blocks
        .flat_map(|block| block.split(';'))
        .map(|statement| statement.trim().to_owned())
        .filter(|statement| !statement.is_empty())
        .collect()
}

#[test]
fn the_sql_of_the_pages_runs() {
    require!(database, extension, statements);
    for (name, page) in PAGES {
        let statements = statements(page);
        assert!(statements.len() >= 4, "{name} shows SQL: {statements:?}");
        let database = testing::database();
        database.run(&GIVEN);
        for statement in &statements {
            // A failing statement panics with the server's message.
            database.run(&[statement]);
        }
    }
}

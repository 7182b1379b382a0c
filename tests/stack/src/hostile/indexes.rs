//! What may stand in `CREATE INDEX`: mostly an index that a table could have, else something that it cannot.

use super::tables::TABLES;
use crate::bench::choices::Choices;

/// A `CREATE INDEX` statement.
pub(super) fn create(choices: &mut Choices) -> String {
    if choices.once_in(14) {
        return choices
            .one(&[
                "",
                "CREATE INDEX",
                "CREATE INDEX ON nowhere (id)",
                "CREATE INDEX ON plain (nowhere)",
                "CREATE INDEX ON plain (id); DROP TABLE plain",
                "CREATE INDEX ON plain USING nothing (id)",
                "CREATE INDEX ON seen (id)",
                "CREATE INDEX ON stored (total)",
                "CREATE INDEX ON pg_class (relpages)",
                "CREATE INDEX ON pg_toast.pg_toast_1255 (chunk_id)",
                "CREATE INDEX ON plain (slowly(id))",
                "CREATE INDEX ON plain (failing(id))",
                "CREATE INDEX ON plain (random())",
                "CREATE INDEX ON plain ((SELECT 1))",
                "CREATE INDEX ON plain (id) WHERE failing(id) > 0",
                "CREATE INDEX ON plain (id) WITH (fillfactor = 0)",
                "CREATE INDEX ON plain (ctid)",
                "CREATE INDEX ON plain (id) TABLESPACE nowhere",
                "CREATE UNIQUE INDEX ON plain (flag)",
                "CREATE TABLE x (y int)",
                "DROP TABLE plain",
                "SELECT 1",
                "CREATE INDEX ON ONLY parts (id)",
                "CREATE INDEX CONCURRENTLY ON plain (id)",
                "CREATE INDEX IF NOT EXISTS plain_name ON plain (name)",
                "CREATE INDEX ON counter (last_value)",
            ])
            .to_owned();
    }
    let table = &TABLES[choices.below(TABLES.len())];
    let count = if choices.once_in(20) {
        33
    } else {
        1 + choices.below(3)
    };
    let method = choices.one(&[
        "btree", "btree", "btree", "btree", "gin", "brin", "hash", "gist", "spgist",
    ]);
    let mut keys = Vec::new();
    for _ in 0..count {
        let (name, type_name) = table.columns[choices.below(table.columns.len())];
        let key = match choices.below(12) {
            0 if type_name == "text" => format!("lower({name})"),
            1 if type_name == "text" => format!("norm({name}) COLLATE \"C\""),
            2 if type_name == "text" => format!("{name} text_pattern_ops"),
            3 if type_name == "jsonb" => format!("{name} jsonb_path_ops"),
            4 => format!("({name} IS NULL)"),
            5 => format!("{name} DESC NULLS LAST"),
            6 if type_name == "integer" => format!("({name} / 0)"),
            7 => format!(
                "{name} {}",
                choices.one(&["int4_ops", "text_ops", "nothing_ops", "array_ops"])
            ),
            _ => name.to_owned(),
        };
        keys.push(key);
    }
    let include = if choices.once_in(5) {
        let (name, _) = table.columns[choices.below(table.columns.len())];
        format!(" INCLUDE ({name})")
    } else {
        String::new()
    };
    let with = choices.one(&[
        "",
        "",
        "",
        " WITH (fillfactor = 50)",
        " WITH (deduplicate_items = off)",
        " WITH (pages_per_range = 4)",
    ]);
    let (filter, _) = table.columns[choices.below(table.columns.len())];
    let partial = match choices.below(8) {
        0 => format!(" WHERE {filter} IS NOT NULL"),
        1 => format!(" WHERE {filter}::text > 'a'"),
        _ => String::new(),
    };
    format!(
        "CREATE INDEX ON {} USING {method} ({}){include}{with}{partial}",
        table.name,
        keys.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_and_table_comes_up() {
        let mut choices = Choices::from_seed(11);
        let all: Vec<String> = (0..2_000).map(|_| create(&mut choices)).collect();
        for part in [
            "USING gin",
            "USING brin",
            "USING hash",
            "USING gist",
            "WHERE",
            "INCLUDE",
            "hashed",
            "\"a\"\"b; %s\"",
        ] {
            assert!(all.iter().any(|text| text.contains(part)), "{part}");
        }
    }
}

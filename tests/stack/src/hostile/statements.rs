//! Queries and changes over the tables, mostly valid.

use super::tables::{TABLES, Table};
use crate::bench::choices::Choices;

type Column = (&'static str, &'static str);

/// A statement that a planner would take: a query, or a change of rows.
pub(super) fn any(choices: &mut Choices) -> String {
    match choices.below(10) {
        0..=6 => query(choices),
        _ => change(choices),
    }
}

fn pick<'a, T>(of: &'a [T], choices: &mut Choices) -> &'a T {
    &of[choices.below(of.len())]
}

/// A literal of the type, for comparisons and rows.
pub(super) fn literal(type_name: &str, choices: &mut Choices) -> String {
    let number = choices.below(1_200);
    if choices.once_in(40) {
        return format!("NULL::{type_name}");
    }
    match type_name {
        "integer" | "bigint" | "numeric" | "real" | "double precision" => match choices.below(12) {
            0 => format!("-{number}"),
            1 => format!("{number}::{type_name}"),
            _ => number.to_string(),
        },
        "smallint" | "positive" => (number % 100 + 1).to_string(),
        "text" | "name" => match choices.below(10) {
            0 => format!("repeat('long ', {number})"),
            1 => "'it''s \"q\" é 日本'".into(),
            _ => format!("'name {}'", number % 60),
        },
        "char(4)" => format!("'c{}'", number % 9),
        "date" => format!("date '2026-01-01' + {}", number % 120),
        "timestamptz" => format!("now() - {number} * interval '1 hour'"),
        "boolean" => choices.one(&["true", "false"]).into(),
        "text[]" => format!("ARRAY['t{}', NULL, 'u']", number % 7),
        "jsonb" | "json" => format!(
            "'{{\"k\": {}, \"l\": [{number}]}}'::{type_name}",
            number % 9
        ),
        "tsvector" => format!("to_tsvector('simple', 'word{number} and')"),
        "int4range" => format!("int4range({number}, {})", number + 7),
        "mood" => choices
            .one(&["'sad'::mood", "'ok'::mood", "'happy'::mood"])
            .into(),
        "inet" => format!("'10.0.{}.{}'::inet", number % 9, number % 250),
        "point" => format!("point({number}, {})", number % 10),
        "uuid" => format!("md5('{number}')::uuid"),
        "bytea" => format!("convert_to(repeat('b', {}), 'UTF8')", number % 40),
        "varbit" => "B'1011'::varbit".into(),
        "interval" => format!("{number} * interval '1 minute'"),
        other => format!("NULL::{other}"),
    }
}

/// A condition on one column of `alias`.
fn condition(alias: &str, column: &Column, choices: &mut Choices) -> String {
    let (name, type_name) = column;
    let name = format!("{alias}.{name}");
    let other = literal(type_name, choices);
    if choices.once_in(12) {
        return format!("{name} IS {}NULL", choices.one(&["", "NOT "]));
    }
    match (*type_name, choices.below(6)) {
        ("json" | "point", _) => format!("{name}::text <> '{}'", choices.below(9)),
        ("text" | "name", 0) => format!("lower({name}) = lower({other})"),
        ("text" | "name", 1) => format!("{name} LIKE 'name 1%'"),
        ("text" | "name", 2) => format!("{name} ~* '^n.*[0-9]$'"),
        ("text[]", 0..=2) => format!("{name} {} {other}", choices.one(&["@>", "&&", "<@"])),
        ("text[]", 3) => format!("'t1' = ANY ({name})"),
        ("jsonb", 0..=2) => format!("{name} @> {other}"),
        ("jsonb", 3) => format!("{name} ->> 'k' = '3'"),
        ("jsonb", 4) => format!("{name} @? '$.l[*] ? (@ > 3)'"),
        ("tsvector", 0..=4) => format!(
            "{name} @@ to_tsquery('simple', 'word1{} | and')",
            choices.below(9)
        ),
        ("int4range", 0..=3) => format!("{name} {} {other}", choices.one(&["&&", "@>", "<<"])),
        ("date" | "timestamptz", 0) => {
            format!("date_trunc('month', {name}) = date_trunc('month', now())")
        }
        ("date" | "timestamptz", 1) => {
            format!("{name} BETWEEN {other} AND {}", literal(type_name, choices))
        }
        ("integer" | "bigint", 0) => {
            format!("{name} IN ({other}, {}, {other})", choices.below(2_000))
        }
        ("integer" | "bigint", 1) => {
            format!("{name} = ANY (ARRAY[{other}, {}])", choices.below(50))
        }
        ("integer" | "bigint", 2) => format!("{name} % 7 = {}", choices.below(7)),
        ("boolean", _) => format!("{}{name}", choices.one(&["", "NOT "])),
        ("varbit" | "bytea" | "uuid" | "mood", _) => format!("{name} = {other}"),
        _ => format!(
            "{name} {} {other}",
            choices.one(&["=", "=", "=", "<", ">=", "<>"])
        ),
    }
}

fn conditions(alias: &str, table: &Table, choices: &mut Choices) -> String {
    let count = choices.below(4);
    let mut all = "true".to_owned();
    for _ in 0..count {
        let joint = choices.one(&["AND", "AND", "AND", "OR", "AND NOT"]);
        let column = pick(table.columns, choices);
        all += &format!(" {joint} ({})", condition(alias, column, choices));
    }
    all
}

/// A column of a type that can be joined, grouped and ordered by.
fn sortable(table: &Table, choices: &mut Choices) -> Column {
    loop {
        let column = *pick(table.columns, choices);
        if !["json", "point"].contains(&column.1) {
            return column;
        }
    }
}

/// A query.
pub(super) fn query(choices: &mut Choices) -> String {
    let table = pick(&TABLES, choices);
    let (name, where_) = (table.name, conditions("a", table, choices));
    let (column, other) = (sortable(table, choices).0, sortable(table, choices).0);
    match choices.below(16) {
        0 => format!("SELECT count(*), max(a.{column}::text) FROM {name} a WHERE {where_}"),
        1 => format!(
            "SELECT a.{column}, count(*) FROM {name} a WHERE {where_} GROUP BY a.{column} HAVING count(*) > {} ORDER BY 2 DESC LIMIT 5",
            choices.below(3)
        ),
        2 => format!(
            "SELECT a.{column}, a.{other}, count(*) FROM {name} a WHERE {where_} GROUP BY {} ORDER BY 3 LIMIT 20",
            choices.one(&[
                &format!("ROLLUP (a.{column}, a.{other})"),
                &format!("CUBE (a.{column}, a.{other})"),
                &format!("GROUPING SETS ((a.{column}, a.{other}), (a.{column}), (a.{other}), ())")
            ])
        ),
        3 => format!(
            "SELECT a.{column}, row_number() OVER (PARTITION BY a.{other} ORDER BY a.{column} DESC), \
             lag(a.{column}) OVER w FROM {name} a WHERE {where_} WINDOW w AS (ORDER BY a.{other} ROWS BETWEEN 3 PRECEDING AND CURRENT ROW) LIMIT 50"
        ),
        4 => format!(
            "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < {}) SELECT count(*) FROM r, LATERAL (SELECT * FROM {name} a WHERE {where_} LIMIT 3) l",
            choices.below(60)
        ),
        5 => format!(
            "WITH x AS {} (SELECT * FROM {name} a WHERE {where_}) SELECT count(*) FROM x x1 WHERE EXISTS (SELECT 1 FROM x x2 WHERE x2.{column} = x1.{column}) AND {}",
            choices.one(&["", "MATERIALIZED", "NOT MATERIALIZED"]),
            choices.one(&["true", "random() < 2"])
        ),
        6 => format!(
            "SELECT DISTINCT ON (a.{column}) a.* FROM {name} a WHERE {where_} ORDER BY a.{column}, a.{other} DESC LIMIT 10"
        ),
        7 => format!(
            "SELECT a.{column}::text FROM {name} a WHERE {where_} {} SELECT b.name FROM plain b WHERE b.id < {} ORDER BY 1 LIMIT 9",
            choices.one(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT"]),
            choices.below(100)
        ),
        8..=10 => joined(choices),
        11 => format!(
            "SELECT * FROM {name} a WHERE {where_} ORDER BY a.{column} {} LIMIT {} OFFSET {} {}",
            choices.one(&["", "DESC", "NULLS FIRST"]),
            choices.below(30),
            choices.below(30),
            choices.one(&["", "", "", "FOR UPDATE SKIP LOCKED", "FOR SHARE NOWAIT"])
        ),
        12 => format!(
            "SELECT * FROM {name} a TABLESAMPLE {} ({}) WHERE {where_} LIMIT 10",
            choices.one(&["SYSTEM", "BERNOULLI"]),
            choices.below(101)
        ),
        13 => format!(
            "SELECT summing(VARIADIC ARRAY[{}, 2, NULL]), deep({}), (SELECT count(*) FROM {name} a WHERE {where_})",
            choices.below(99),
            choices.below(120)
        ),
        14 => format!(
            "SELECT (SELECT b.name FROM plain b WHERE b.id = {} + length(a.{column}::text) LIMIT 1), CASE WHEN {where_} THEN 1 END FROM {name} a LIMIT 40",
            choices.below(99)
        ),
        _ => format!("SELECT a.* FROM {name} a WHERE {where_} LIMIT 30"),
    }
}

fn joined(choices: &mut Choices) -> String {
    let count = 2 + choices.below(4);
    let mut from = String::new();
    let mut filters = "true".to_owned();
    let mut first: Option<&Table> = None;
    for number in 0..count {
        let table = pick(&TABLES, choices);
        let alias = format!("t{number}");
        filters += &format!(" AND ({})", conditions(&alias, table, choices));
        match first {
            None => from += &format!("{} {alias}", table.name),
            Some(before) => {
                let (left, right) = (sortable(before, choices).0, sortable(table, choices));
                let same = before.columns.iter().find(|column| column.1 == right.1);
                let kind = choices.one(&["JOIN", "JOIN", "LEFT JOIN", "FULL JOIN", "RIGHT JOIN"]);
                from += &match same {
                    Some(same) if same.1 != "json" && same.1 != "point" => {
                        format!(
                            " {kind} {} {alias} ON t0.{} = {alias}.{}",
                            table.name, same.0, right.0
                        )
                    }
                    _ => format!(
                        " {kind} {} {alias} ON t0.{left}::text = {alias}.{}::text",
                        table.name, right.0
                    ),
                };
            }
        }
        first.get_or_insert(table);
    }
    format!("SELECT count(*) FROM (SELECT 1 FROM {from} WHERE {filters} LIMIT 2000) j")
}

fn row(table: &Table, choices: &mut Choices) -> String {
    let values: Vec<String> = table
        .columns
        .iter()
        .map(|(name, type_name)| {
            if *name == "doubled" {
                "DEFAULT".into()
            } else {
                literal(type_name, choices)
            }
        })
        .collect();
    format!("({})", values.join(", "))
}

/// A change of a few rows.
pub(super) fn change(choices: &mut Choices) -> String {
    let table = loop {
        let table = pick(&TABLES, choices);
        // A superuser may change the catalogue, and breaks the server by it.
        if table.is_written || choices.once_in(10) && !table.name.starts_with("pg_catalog") {
            break table;
        }
    };
    let name = table.name;
    let (column, type_name) = *pick(table.columns, choices);
    let few = format!("{} AND random() < 0.2", conditions("a", table, choices));
    let returning = choices.one(&["", "", " RETURNING *"]);
    match choices.below(9) {
        0..=2 => {
            let rows: Vec<String> = (0..1 + choices.below(4))
                .map(|_| row(table, choices))
                .collect();
            let conflict = choices.one(&["", " ON CONFLICT DO NOTHING"]);
            format!(
                "INSERT INTO {name} VALUES {}{conflict}{returning}",
                rows.join(", ")
            )
        }
        3..=5 => format!(
            "UPDATE {name} a SET {column} = {} WHERE {few}{returning}",
            literal(type_name, choices)
        ),
        6 => format!("DELETE FROM {name} a WHERE {few} AND random() < 0.1{returning}"),
        7 => format!(
            "WITH gone AS (DELETE FROM {name} a WHERE {few} RETURNING a.{column}), told AS (INSERT INTO no_log SELECT 1, 'told' FROM gone RETURNING 1) \
             SELECT count(*) FROM gone, told"
        ),
        _ => format!(
            "MERGE INTO {name} a USING (SELECT g FROM generate_series(1, {}) g) s ON a.{column}::text = s.g::text \
             WHEN MATCHED AND s.g > 3 THEN DELETE WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED AND s.g = 1 THEN INSERT VALUES {}",
            choices.below(9),
            row(table, choices)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_read_and_never_changed() {
        let mut choices = Choices::from_seed(8);
        for _ in 0..5_000 {
            let text = change(&mut choices);
            for verb in ["INSERT INTO", "UPDATE", "DELETE FROM", "MERGE INTO"] {
                assert!(!text.contains(&format!("{verb} pg_catalog")), "{text}");
            }
        }
    }

    #[test]
    fn a_seed_repeats_its_statements_and_another_one_does_not() {
        let texts = |seed| -> Vec<String> {
            let mut choices = Choices::from_seed(seed);
            (0..200).map(|_| any(&mut choices)).collect()
        };
        assert_eq!(texts(3), texts(3));
        assert_ne!(texts(3), texts(4));
    }
}

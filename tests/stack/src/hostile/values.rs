//! Arguments that nobody expects, by type, as SQL expressions.

use super::indexes;
use super::queries;
use super::tables::{INDEXES, TABLES};
use crate::bench::choices::Choices;
use crate::sql;

/// Texts that break what quotes, counts or cuts carelessly.
const TEXTS: [&str; 27] = [
    "''",
    "' '",
    "''''",
    "'\"'",
    "E'\\\\'",
    "'a\"b'",
    "'a;drop table x'",
    "'$1'",
    "'%s%n%'",
    "'$$'",
    "E'\\n\\r\\t'",
    "E'\\u0001'",
    "'--'",
    "'/*'",
    "'é'",
    "'日本語'",
    "U&'\\+01F600'",
    "U&'\\202E\\0301'",
    "repeat('x', 63)",
    "repeat('x', 64)",
    "repeat('é', 32)",
    "repeat('x', 1000000)",
    "repeat('(', 20000)",
    "repeat('é\"''', 3000)",
    "'NULL'",
    "'{}'",
    "'0'",
];

const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "-1",
    "2",
    "100",
    "32767",
    "2147483647",
    "-2147483648",
    "4294967295",
    "9223372036854775807",
    "-9223372036854775808",
    "1e300",
    "1000000",
    "60000",
];

const FLOATS: [&str; 10] = [
    "'NaN'",
    "'Infinity'",
    "'-Infinity'",
    "'-0'",
    "'5e-324'",
    "'1.7976931348623157e308'",
    "'0.5'",
    "'-1'",
    "'1e-30'",
    "'3'",
];

const TIMES: [&str; 9] = [
    "'infinity'",
    "'-infinity'",
    "'4713-01-01 00:00:00 BC'",
    "'294276-12-31 23:59:59.999999'",
    "'1970-01-01'",
    "now()",
    "now() - interval '1 day'",
    "now() + interval '100 years'",
    "'2000-01-01 00:00:00.000001+14:59'",
];

const INTERVALS: [&str; 9] = [
    "'0'",
    "'-1 second'",
    "'1 microsecond'",
    "'1 hour'",
    "'7 days'",
    "'178000000 years'",
    "'-178000000 years'",
    "'2147483647 days'",
    "'1 mon -30 days 00:00:01'",
];

const DOCUMENTS: [&str; 30] = [
    "'{}'",
    "'[]'",
    "'null'",
    "'1'",
    "'\"x\"'",
    "'true'",
    "'[[[]]]'",
    "'{\"\": \"\"}'",
    "'{\"a\": 1e400}'",
    "'{\"columns\": 1e309}'",
    "'-0'",
    "'123456789012345678901234567890'",
    "'{\"columns\": []}'",
    "'{\"columns\": [null]}'",
    "'{\"columns\": [\"id\", \"id\"]}'",
    "'{\"columns\": [\"nowhere\"], \"name\": \"a\\\"b\"}'",
    "'{\"columns\": \"id\"}'",
    "'{\"definition\": \"(id); DROP TABLE plain\"}'",
    "'{\"definition\": \"(pg_sleep(1))\"}'",
    "'{\"full\": true, \"analyze\": 3}'",
    "'{\"concurrently\": null}'",
    "'{\"columns\": [\"id\"], \"target\": 10000}'",
    "'{\"columns\": [\"id\", \"a\"], \"kinds\": [\"mcv\"], \"name\": \"a\\\"b\"}'",
    "'{\"min_bytes\": -1}'",
    "'{\"min_rows\": 1e300, \"max\": \"x\"}'",
    "'{\"at\": \"\\u0001\"}'",
    "(SELECT jsonb_object_agg('k' || g, g) FROM generate_series(1, 3000) g)",
    "(SELECT jsonb_agg(repeat('x', 100)) FROM generate_series(1, 3000))",
    "(repeat('[', 1000) || repeat(']', 1000))",
    "(repeat('{\"a\":', 200) || '1' || repeat('}', 200))",
];

/// Words that functions of the extension take, so that some calls come further than the first check.
const WORDS: [(&str, &[&str]); 4] = [
    (
        "kind",
        &[
            "vacuum",
            "analyze",
            "reindex",
            "create_index",
            "drop_index",
            "refresh_matview",
            "statistics",
            "analyze_all_stale",
            "vacuum_due",
            "freeze_oldest",
            "rebuild_bloated_indexes",
            "repair_invalid_indexes",
        ],
    ),
    (
        "level",
        &["reader", "operator", "none", "revoke", "superuser"],
    ),
    ("method", &["btree", "gin", "brin", "hash", "gist"]),
    (
        "spec",
        &[
            "* * * * *",
            "*/5 1-3 * * 1,2",
            "@hourly",
            "every 5 minutes",
            "0 0 31 2 *",
            "every 0 seconds",
            "99 * * * *",
            "61/0 * * * *",
        ],
    ),
];

/// An argument of `type_name` for a parameter called `name`.
pub(super) fn value(name: &str, type_name: &str, choices: &mut Choices) -> String {
    if choices.once_in(12) {
        return format!("NULL::{type_name}");
    }
    if let Some(element) = type_name.strip_suffix("[]") {
        return array(name, element, choices);
    }
    let plain = match type_name {
        "text" | "name" | "character varying" | "cstring" => text(name, choices),
        "regclass" => relation(choices),
        "regrole" => {
            let role = choices.one(&[
                "'hostile_owner'",
                "'hostile_reader'",
                "'hostile_nobody'",
                "'postgres'",
                "'pg_monitor'",
                "0",
                "4294967295",
                "'hostile_nowhere'",
            ]);
            role.to_owned()
        }
        "oid" => choices
            .one(&[
                "0",
                "4294967295",
                "'pg_class'::regclass",
                "1259",
                "(SELECT max(oid) FROM pg_class)",
            ])
            .to_owned(),
        "json" | "jsonb" => document(name, choices),
        "boolean" => choices.one(&["true", "false"]).to_owned(),
        "smallint" | "integer" | "bigint" | "numeric" => number(type_name, choices),
        "real" | "double precision" => choices.one(&FLOATS).to_owned(),
        "timestamp with time zone" | "timestamp without time zone" | "date" => {
            choices.one(&TIMES).to_owned()
        }
        "interval" => choices.one(&INTERVALS).to_owned(),
        _ => choices.one(&TEXTS).to_owned(),
    };
    format!("({plain})::{type_name}")
}

/// A number that the type takes, for what it does not take the server refuses before the function is called.
fn number(type_name: &str, choices: &mut Choices) -> String {
    let (least, most) = match type_name {
        "smallint" => (-32_768.0, 32_767.0),
        "integer" => (-2_147_483_648.0, 2_147_483_647.0),
        "bigint" => (-9.3e18, 9.3e18),
        _ => (f64::NEG_INFINITY, f64::INFINITY),
    };
    loop {
        let number = choices.one(&NUMBERS);
        let value: f64 = number.parse().unwrap_or(f64::NAN);
        if least <= value && value <= most {
            return number.to_owned();
        }
    }
}

fn text(name: &str, choices: &mut Choices) -> String {
    let known = WORDS.iter().find(|(part, _)| name.contains(part));
    if let Some((_, words)) = known
        && !choices.once_in(4)
    {
        return sql::literal(choices.one(words));
    }
    match (name, choices.below(4)) {
        ("query" | "sql" | "statement", 0..=2) => sql::literal(&queries::query(choices)),
        ("ddl" | "definition", 0..=2) => sql::literal(&indexes::create(choices)),
        ("name", 0..=1) => {
            let number = choices.below(4);
            sql::literal(&format!("made {number}"))
        }
        _ => choices.one(&TEXTS).to_owned(),
    }
}

fn relation(choices: &mut Choices) -> String {
    match choices.below(6) {
        0 => choices
            .one(&[
                "0",
                "4294967295",
                "'pg_catalog.pg_class'",
                "'pg_toast.pg_toast_1255'",
                "'pitcrew.jobs'",
                "'counter'",
                "'pg_stat_activity'",
                "(SELECT max(oid) FROM pg_class)",
                "(SELECT oid FROM pg_class ORDER BY random() LIMIT 1)",
                "(SELECT indexrelid FROM pg_index ORDER BY random() LIMIT 1)",
            ])
            .to_owned(),
        1 => format!("to_regclass('{}')", choices.one(&INDEXES)),
        // Named by number first, so that it may be gone when it is used.
        2 => format!("to_regclass('random_{}')", choices.below(6)),
        _ => {
            let table = TABLES[choices.below(TABLES.len())].name;
            format!("to_regclass({})", sql::literal(table))
        }
    }
}

fn document(name: &str, choices: &mut Choices) -> String {
    let plain = choices.one(&DOCUMENTS);
    if name == "before" && choices.once_in(2) {
        return "pitcrew.pool_sample()".into();
    }
    plain.to_owned()
}

fn array(name: &str, element: &str, choices: &mut Choices) -> String {
    let of = |choices: &mut Choices| {
        if element == "text" && name.contains("index") && !choices.once_in(8) {
            sql::literal(&indexes::create(choices))
        } else {
            value(name, element, choices)
        }
    };
    match choices.below(8) {
        0 => format!("'{{}}'::{element}[]"),
        1 => format!("ARRAY[NULL]::{element}[]"),
        2 => {
            let one = of(choices);
            format!("array_fill(({one})::{element}, ARRAY[2, 2])")
        }
        3 => {
            let one = of(choices);
            format!("array_fill(({one})::{element}, ARRAY[3], ARRAY[-2147483640])")
        }
        4 => {
            let one = of(choices);
            let length = [100, 1_000][choices.below(2)];
            // The same thing many times would only be long.
            if one.len() > 300 || one.contains("repeat(") || one.contains("SELECT") {
                format!("ARRAY[{one}]::{element}[]")
            } else {
                format!("array_fill(({one})::{element}, ARRAY[{length}])")
            }
        }
        _ => {
            let count = 1 + choices.below(4);
            let parts: Vec<String> = (0..count).map(|_| of(choices)).collect();
            format!("ARRAY[{}]::{element}[]", parts.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_gets_nulls_and_values_of_its_own() {
        let mut choices = Choices::from_seed(5);
        for type_name in ["text", "jsonb", "regclass", "text[]", "bigint", "box"] {
            let found: std::collections::BTreeSet<String> = (0..300)
                .map(|_| value("x", type_name, &mut choices))
                .collect();
            assert!(found.len() > 5, "{type_name}: {found:?}");
            assert!(
                found.contains(&format!("NULL::{type_name}")),
                "{type_name}: no NULL"
            );
        }
    }

    #[test]
    fn integers_fit_their_type() {
        let mut choices = Choices::from_seed(9);
        for _ in 0..500 {
            let found: f64 = number("integer", &mut choices).parse().unwrap_or(f64::NAN);
            assert!(
                (-2_147_483_648.0..=2_147_483_647.0).contains(&found),
                "{found}"
            );
        }
    }
}

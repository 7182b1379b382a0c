//! What a statement is, read from its text: its fingerprint, the tables that it reads, or why its rows are not cached.

use std::{collections::BTreeSet, ops::ControlFlow};

use sqlparser::{
    ast::{
        Expr, ObjectName, ObjectNamePart, Query, SetExpr, Statement, TableFactor, Visit, Visitor,
    },
    dialect::PostgreSqlDialect,
    parser::Parser,
};

use super::{
    refusal::Refusal,
    volatile::{is_bare_keyword, is_volatile, moving_literal},
};
use crate::sql::{self, MAX_TEXT_BYTES};

/// Schema of names without one, unless the region says otherwise.
pub(super) const DEFAULT_SCHEMA: &str = "public";

/// A statement whose rows may be cached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Readable {
    /// What the text says, without comments and space, what is not quoted in lower case.
    pub(super) normal: String,
    /// `schema.table` of every table that it reads, sorted.
    pub(super) tables: Vec<String>,
}

/// Reads a statement. `search_path` is where a name without a schema is looked for: its first entry counts.
pub(super) fn read(text: &str, search_path: &str) -> Result<Readable, Refusal> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(Refusal::TooLong);
    }
    let dialect = PostgreSqlDialect {};
    let statements = Parser::parse_sql(&dialect, text).map_err(|_| Refusal::NotReadable)?;
    let [statement] = statements.as_slice() else {
        return Err(if statements.is_empty() {
            Refusal::NotReadable
        } else {
            Refusal::Several
        });
    };
    let Statement::Query(query) = statement else {
        return Err(Refusal::Writes);
    };
    let mut reader = Reader {
        schema: search_path,
        tables: BTreeSet::new(),
    };
    if let ControlFlow::Break(refusal) = query.visit(&mut reader) {
        return Err(refusal);
    }
    Ok(Readable {
        normal: sql::exact(text).ok_or(Refusal::NotReadable)?,
        // Names that a WITH defines are among them: the same name may mean a table in another scope, and a tag that no table
        // has is never purged.
        tables: reader.tables.into_iter().collect(),
    })
}

struct Reader<'a> {
    schema: &'a str,
    tables: BTreeSet<String>,
}

impl Visitor for Reader<'_> {
    type Break = Refusal;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Refusal> {
        if !query.locks.is_empty() {
            return ControlFlow::Break(Refusal::Locks);
        }
        if writes(&query.body) {
            return ControlFlow::Break(Refusal::Writes);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Refusal> {
        let names: Vec<String> = parts(relation);
        // The server changes these by itself, and nobody purges them.
        if let Some(name) = names.last()
            && (name.starts_with("pg_") || names[0] == "information_schema")
        {
            return ControlFlow::Break(Refusal::Volatile(name.clone()));
        }
        match names.as_slice() {
            [table] => {
                let schema = self.schema;
                self.tables.insert(format!("{schema}.{table}"));
            }
            [schema, table] => {
                self.tables.insert(format!("{schema}.{table}"));
            }
            _ => return ControlFlow::Break(Refusal::TableName(relation.to_string())),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Refusal> {
        match factor {
            TableFactor::Table {
                sample: Some(_), ..
            } => ControlFlow::Break(Refusal::Volatile("tablesample".to_owned())),
            // A function that gives rows.
            TableFactor::Table {
                name,
                args: Some(_),
                ..
            }
            | TableFactor::Function { name, .. } => match parts(name).pop() {
                Some(name) if is_volatile(&name) => ControlFlow::Break(Refusal::Volatile(name)),
                _ => ControlFlow::Continue(()),
            },
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Refusal> {
        if let Some(text) = moving_literal(expr) {
            return ControlFlow::Break(Refusal::Literal(text));
        }
        let name = match expr {
            Expr::Function(function) => parts(&function.name).pop(),
            // `CURRENT_DATE` and its like may stand without parentheses; a quoted one is a column.
            Expr::Identifier(name) if name.quote_style.is_none() => Some(folded(name)),
            _ => None,
        };
        if let Some(name) = name
            && is_volatile(&name)
            && (matches!(expr, Expr::Function(_)) || is_bare_keyword(&name))
        {
            return ControlFlow::Break(Refusal::Volatile(name));
        }
        ControlFlow::Continue(())
    }
}

/// `SELECT ... INTO` makes a table; INSERT, UPDATE, DELETE and MERGE may stand in a `WITH`.
fn writes(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => select.into.is_some(),
        SetExpr::SetOperation { left, right, .. } => writes(left) || writes(right),
        SetExpr::Query(_) | SetExpr::Values(_) | SetExpr::Table(_) => false,
        _ => true,
    }
}

/// The parts of a name as the server reads them: what is not quoted in lower case, its ASCII letters alone, as a database in
/// UTF-8 has it.
fn parts(name: &ObjectName) -> Vec<String> {
    name.0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(identifier) => folded(identifier),
            other => other.to_string(),
        })
        .collect()
}

fn folded(identifier: &sqlparser::ast::Ident) -> String {
    if identifier.quote_style.is_some() {
        identifier.value.clone()
    } else {
        identifier.value.to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(text: &str) -> Vec<String> {
        read(text, DEFAULT_SCHEMA).unwrap().tables
    }

    #[test]
    fn tables_are_found_wherever_they_stand() {
        assert_eq!(
            tables("SELECT * FROM orders o JOIN sales.Parts p ON true"),
            ["public.orders", "sales.parts"]
        );
        assert_eq!(
            tables("select (select max(x) from a) from b where exists (select 1 from c)"),
            ["public.a", "public.b", "public.c"]
        );
        assert_eq!(
            tables("SELECT 1 FROM \"Select\".\"a\"\"b\""),
            ["Select.a\"b"]
        );
        assert_eq!(
            tables("SELECT 1 FROM a UNION ALL SELECT 2 FROM b"),
            ["public.a", "public.b"]
        );
        assert_eq!(tables("VALUES (1)"), Vec::<String>::new());
        assert_eq!(
            tables("WITH x AS (SELECT * FROM a) SELECT * FROM x JOIN b ON true"),
            ["public.a", "public.b", "public.x"]
        );
        assert_eq!(
            tables("SELECT 1 FROM a, LATERAL (SELECT * FROM b WHERE b.x = a.x) q"),
            ["public.a", "public.b"]
        );
        assert_eq!(read("SELECT 1 FROM t", "app").unwrap().tables, ["app.t"]);
    }

    #[test]
    fn space_comments_and_case_do_not_matter_and_constants_and_quotes_do() {
        let normal = |text: &str| read(text, DEFAULT_SCHEMA).unwrap().normal;
        let one = normal("SELECT  a FROM t -- comment\nWHERE b = $1;");
        assert_eq!(one, normal("select a from T where b=$1 /* x */"));
        for other in [
            "select a from t where b = $2",
            "select a from t where b = 1",
            "select \"A\" from t where b = $1",
            "select a from t where b = 'x'",
        ] {
            assert_ne!(one, normal(other), "{other}");
        }
        assert_ne!(normal("select 'A'"), normal("select 'a'"));
    }

    /// One form for both would hand the rows of one to the other.
    #[test]
    fn quotes_inside_quotes_make_another_statement() {
        let normal = |text: &str| read(text, DEFAULT_SCHEMA).unwrap().normal;
        for (one, two) in [
            ("SELECT 'a'' , ''b' FROM t", "SELECT 'a' , 'b' FROM t"),
            (r"SELECT E'a\' , \'b' FROM t", "SELECT E'a' , 'b' FROM t"),
            (r"SELECT E'\\n' FROM t", r"SELECT E'\n' FROM t"),
            (r#"SELECT "a"" , ""b" FROM t"#, r#"SELECT "a" , "b" FROM t"#),
            ("SELECT É FROM t", "SELECT é FROM t"),
        ] {
            let two = read(two, DEFAULT_SCHEMA).map(|two| two.normal);
            assert_ne!(Ok(normal(one)), two, "{one}");
        }
    }

    #[test]
    fn what_writes_locks_or_differs_each_time_is_refused() {
        let refused = |text: &str| read(text, DEFAULT_SCHEMA).unwrap_err();
        for text in [
            "INSERT INTO t VALUES (1)",
            "UPDATE t SET a = 1",
            "DELETE FROM t",
            "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
            "WITH x AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM x",
            "SELECT * INTO new FROM t",
            "CREATE TABLE t (a int)",
        ] {
            assert_eq!(refused(text), Refusal::Writes, "{text}");
        }
        assert_eq!(refused("SELECT * FROM t FOR UPDATE"), Refusal::Locks);
        assert_eq!(
            refused("SELECT * FROM (SELECT * FROM t FOR SHARE) x"),
            Refusal::Locks
        );
        for (text, name) in [
            ("SELECT now()", "now"),
            ("SELECT * FROM t WHERE at > CURRENT_DATE", "current_date"),
            ("SELECT * FROM t ORDER BY RANDOM()", "random"),
            ("SELECT pg_catalog.nextval('s')", "nextval"),
            ("SELECT pg_advisory_lock(1)", "pg_advisory_lock"),
            ("SELECT current_user", "current_user"),
            ("SELECT user", "user"),
            ("SELECT system_user", "system_user"),
            ("SELECT set_config('a', 'b', false)", "set_config"),
            ("SELECT pg_terminate_backend(1)", "pg_terminate_backend"),
            ("SELECT * FROM dblink_exec('x', 'y')", "dblink_exec"),
            ("SELECT query_to_xml('x', true, true, '')", "query_to_xml"),
            ("SELECT * FROM pg_stat_activity", "pg_stat_activity"),
            ("SELECT * FROM random() r", "random"),
            ("SELECT * FROM t TABLESAMPLE SYSTEM (10)", "tablesample"),
            ("SELECT * FROM information_schema.tables", "tables"),
            ("SELECT age(at) FROM t", "age"),
        ] {
            assert_eq!(refused(text), Refusal::Volatile(name.to_owned()), "{text}");
        }
        assert_eq!(refused("SELECT 1; SELECT 2"), Refusal::Several);
        for text in ["", ";", "SELEC 1", "SELECT 'x"] {
            assert_eq!(refused(text), Refusal::NotReadable, "{text}");
        }
        assert_eq!(
            refused(&format!("SELECT '{}'", "x".repeat(MAX_TEXT_BYTES))),
            Refusal::TooLong
        );
    }

    #[test]
    fn literals_that_are_another_time_each_day_are_refused() {
        for (text, literal) in [
            ("SELECT * FROM t WHERE at > 'today'::date", "today"),
            (
                "SELECT * FROM t WHERE at > CAST('Now' AS timestamptz)",
                "Now",
            ),
            ("SELECT date 'tomorrow'", "tomorrow"),
            (
                "SELECT timestamp with time zone ' yesterday '",
                " yesterday ",
            ),
            (
                "SELECT 'today 12:00 Europe/Berlin'::timestamptz",
                "today 12:00 Europe/Berlin",
            ),
            ("SELECT 'now'::app.moment", "now"),
            // The column, or the function, makes a time of it.
            ("SELECT * FROM t WHERE at > 'today'", "today"),
            (
                "SELECT * FROM t WHERE at > 'tomorrow allballs'",
                "tomorrow allballs",
            ),
            ("SELECT date(E'today')", "today"),
            ("SELECT $$now$$::time", "now"),
        ] {
            let refused = read(text, DEFAULT_SCHEMA).unwrap_err();
            assert_eq!(refused, Refusal::Literal(literal.to_owned()), "{text}");
            assert!(refused.to_string().contains("as a parameter"), "{refused}");
        }
        for text in [
            "SELECT * FROM t WHERE note = 'not now'",
            "SELECT 'today I read'::text",
            "SELECT '2026-01-01'::date, 'epoch'::timestamptz, 'infinity'::date",
            "SELECT * FROM t WHERE name = 'nowak'",
        ] {
            assert!(read(text, DEFAULT_SCHEMA).is_ok(), "{text}");
        }
    }

    #[test]
    fn columns_that_are_called_like_functions_are_columns() {
        for text in [
            "SELECT now FROM t",
            "SELECT \"current_date\" FROM t",
            "SELECT t.random FROM t",
        ] {
            assert!(read(text, DEFAULT_SCHEMA).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_deeply_nested_text_is_refused_and_does_no_harm() {
        let deep = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
        assert_eq!(
            read(&deep, DEFAULT_SCHEMA).unwrap_err(),
            Refusal::NotReadable
        );
    }
}

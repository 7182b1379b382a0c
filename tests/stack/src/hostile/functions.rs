//! Calls of every function of the extension, as `pg_proc` has them.

use super::values;
use crate::bench::choices::Choices;
use crate::error::{Error, Result};
use crate::sql;

/// What is read of each: no function that is new is forgotten. A row for a parameter, in order; one without for none.
pub(super) const LIST: &str = "SELECT p.oid::regprocedure::text, p.proname, p.prokind::text, p.pronargdefaults::text, \
     coalesce(p.proargnames[a.n], ''), format_type(a.type, NULL) \
     FROM pg_proc p LEFT JOIN LATERAL unnest(p.proargtypes::oid[]) WITH ORDINALITY a(type, n) ON true \
     WHERE p.pronamespace = 'pitcrew'::regnamespace ORDER BY p.oid, a.n";

/// A function, or a procedure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// With its types, as the server writes it.
    pub signature: String,
    name: String,
    is_procedure: bool,
    defaults: usize,
    /// Names and types.
    parameters: Vec<(String, String)>,
}

impl Function {
    /// From the rows of the list.
    ///
    /// # Errors
    /// [`Error::Extension`] where the schema has none.
    pub(super) fn from_rows(rows: &[Vec<Option<String>>]) -> Result<Vec<Self>> {
        let mut all: Vec<Self> = Vec::new();
        for row in rows {
            let cell = |number: usize| row.get(number).cloned().flatten().unwrap_or_default();
            if all.last().is_none_or(|last| last.signature != cell(0)) {
                all.push(Self {
                    signature: cell(0),
                    name: cell(1),
                    is_procedure: cell(2) == "p",
                    defaults: cell(3).parse().unwrap_or(0),
                    parameters: Vec::new(),
                });
            }
            if let (Some(last), false) = (all.last_mut(), cell(5).is_empty()) {
                last.parameters.push((cell(4), cell(5)));
            }
        }
        if all.is_empty() {
            return Err(Error::Extension("schema pitcrew has no functions".into()));
        }
        Ok(all)
    }

    /// A statement that calls it.
    pub(super) fn call(&self, choices: &mut Choices) -> String {
        let mut left_out = 0;
        if self.defaults > 0 && choices.once_in(3) {
            left_out = 1 + choices.below(self.defaults);
        }
        let given = &self.parameters[..self.parameters.len().saturating_sub(left_out)];
        let are_named = choices.once_in(5) && given.iter().all(|(name, _)| !name.is_empty());
        let arguments: Vec<String> = given
            .iter()
            .map(|(name, type_name)| {
                let value = values::value(name, type_name, choices);
                if are_named {
                    format!("{} => {value}", sql::identifier(name))
                } else {
                    value
                }
            })
            .collect();
        let call = format!(
            "pitcrew.{}({})",
            sql::identifier(&self.name),
            arguments.join(", ")
        );
        if self.is_procedure {
            return match choices.below(6) {
                0 => {
                    format!("DO $do$ BEGIN CALL {call}; EXCEPTION WHEN OTHERS THEN NULL; END $do$")
                }
                1 => format!("BEGIN; CALL {call}; COMMIT"),
                _ => format!("CALL {call}"),
            };
        }
        match choices.below(16) {
            0 => format!("SELECT {call} FROM generate_series(1, 3)"),
            1 => format!("SELECT count(*) FROM (SELECT {call}) c"),
            2 => format!("SELECT * FROM {call} LIMIT 1"),
            3 => format!("SELECT * FROM {call} LIMIT 0"),
            // An error in it is caught in a subtransaction.
            4 => format!(
                "DO $do$ BEGIN PERFORM * FROM {call}; EXCEPTION WHEN OTHERS THEN NULL; END $do$"
            ),
            5 => format!(
                "DO $do$ DECLARE r record; BEGIN FOR r IN SELECT * FROM {call} LOOP EXIT; END LOOP; END $do$"
            ),
            6 => format!(
                "BEGIN; DECLARE call_{} CURSOR FOR SELECT * FROM {call}; FETCH 1 FROM call_0; COMMIT",
                choices.below(2)
            ),
            7 => format!("CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM {call}"),
            8 => format!("EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM {call}"),
            9 => format!("SELECT * FROM {call} a, {call} b LIMIT 100"),
            _ => format!("SELECT * FROM {call}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: [&str; 6]) -> Vec<Option<String>> {
        cells
            .iter()
            .map(|cell| (!cell.is_empty()).then(|| (*cell).to_owned()))
            .collect()
    }

    #[test]
    fn parameters_of_one_function_come_together_and_defaults_may_be_left_out() {
        let all = Function::from_rows(&[
            row(["f(integer,text)", "f", "f", "1", "id", "integer"]),
            row(["f(integer,text)", "f", "f", "1", "note", "text"]),
            row(["p()", "p", "p", "0", "", ""]),
        ])
        .unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].parameters.len(), 2);
        assert!(all[1].is_procedure && all[1].parameters.is_empty());
        let mut choices = Choices::from_seed(1);
        let calls: Vec<String> = (0..200).map(|_| all[0].call(&mut choices)).collect();
        assert!(calls.iter().any(|call| call.contains("::text)")));
        assert!(
            calls
                .iter()
                .any(|call| call.contains("::integer)") && !call.contains("::text)"))
        );
        assert!((0..50).all(|_| all[1].call(&mut choices).contains("CALL pitcrew.\"p\"()")));
        assert!(Function::from_rows(&[]).is_err());
    }
}

//! A plan's flows, checked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "postgres")]
use super::compiled::Prepared;
use super::compiled::{CompiledFlow, CompiledStep, Script};
use super::data::{Drawn, Source};
use super::spoken::{Own, Parts, Spoken};
use super::template::{Template, is_name};
use super::{Flow, MAX_STEPS, MAX_THINK_MS};
use crate::part::Part;
use crate::plan::{PlanError, wrong};

const MAX_FLOWS: usize = 20;
const MAX_WEIGHT: u32 = 1_000;
const MAX_SOURCES: usize = 64;
/// What all steps of a plan have in common.
pub(crate) struct Common<'a> {
    pub(crate) data: &'a BTreeMap<String, Source>,
    pub(crate) headers: &'a BTreeMap<String, String>,
    pub(crate) seed: u64,
    pub(crate) part: Part,
}

/// Names while they are looked for.
pub(super) struct Names<'a> {
    data: &'a BTreeMap<String, Source>,
    sources: Vec<Drawn>,
    pub(super) slots: usize,
    /// Of the flow: what steps before captured.
    captured: BTreeMap<String, usize>,
    /// Of the flow: the sources that it uses.
    used: BTreeSet<usize>,
    /// Of PostgreSQL: what is prepared once a connection.
    #[cfg(feature = "postgres")]
    pub(super) statements: Vec<Prepared>,
}

/// The script of a plan, where it has one; `alone` are the fields that have no place beside it, and whether they are said.
pub(crate) fn of_plan<S: Spoken>(
    steps: &[S],
    flows: &[Flow<S>],
    common: &Common<'_>,
    alone: &[(&str, bool)],
) -> Result<Option<Arc<Script>>, PlanError> {
    if steps.is_empty() && flows.is_empty() {
        if !common.data.is_empty() {
            return wrong("data", "is for `steps` or `flows`, and there are none");
        }
        return Ok(None);
    }
    if let Some((field, _)) = alone.iter().find(|(_, is_said)| *is_said) {
        return wrong(field, "is of a plan with one request; say it in its step");
    }
    compile(steps, flows, common).map(|script| Some(Arc::new(script)))
}

/// `steps` are one flow that needs no name.
fn compile<S: Spoken>(
    steps: &[S],
    flows: &[Flow<S>],
    common: &Common<'_>,
) -> Result<Script, PlanError> {
    let mut names = Names::new(common)?;
    let mut compiled = Vec::new();
    let mut total = 0;
    if !flows.is_empty() && !steps.is_empty() {
        return wrong("steps", "are of a plan without `flows`; put them into one");
    }
    if flows.len() > MAX_FLOWS {
        return wrong(
            "flows",
            format!("wants at most {MAX_FLOWS}, has {}", flows.len()),
        );
    }
    let all = steps.len() + flows.iter().map(|flow| flow.steps.len()).sum::<usize>();
    if all > MAX_STEPS {
        return wrong(
            if flows.is_empty() { "steps" } else { "flows" },
            format!("want at most {MAX_STEPS} steps, have {all}"),
        );
    }
    let mut report_names = Vec::new();
    let mut add = |prefix: &str, field: &str, steps: &[S]| {
        let first = report_names.len();
        report_names.extend(steps.iter().enumerate().map(|(number, step)| {
            let step = step.parts();
            match step.name {
                Some(name) => format!("{prefix}{name}"),
                None => format!("{prefix}{}", step.own.usual_name(number + 1)),
            }
        }));
        names.flow(steps, field, first, common.headers)
    };
    if !steps.is_empty() {
        total = 1;
        compiled.push(CompiledFlow::new(total, add("", "", steps)?));
    }
    for (number, flow) in flows.iter().enumerate() {
        let field = format!("flows[{number}].");
        if flow.name.is_empty() || flow.name.len() > 100 {
            return wrong(&format!("{field}name"), "wants 1 to 100 characters");
        }
        if !(1..=MAX_WEIGHT).contains(&flow.weight) {
            return wrong(
                &format!("{field}weight"),
                format!("wants 1 to {MAX_WEIGHT}"),
            );
        }
        if flow.steps.is_empty() {
            return wrong(&format!("{field}steps"), "wants at least one");
        }
        total += flow.weight;
        let steps = add(&format!("{}/", flow.name), &field, &flow.steps)?;
        compiled.push(CompiledFlow::new(total, steps));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = report_names.iter().find(|name| !seen.insert(*name)) {
        return wrong(
            if flows.is_empty() { "steps" } else { "flows" },
            format!("have two steps `{twice}`: give one of them another `name`"),
        );
    }
    Ok(Script::new(
        compiled,
        names.sources,
        names.slots,
        report_names,
        #[cfg(feature = "postgres")]
        names.statements,
        common.seed,
        common.part,
    ))
}

impl<'a> Names<'a> {
    fn new(common: &Common<'a>) -> Result<Self, PlanError> {
        if common.data.len() > MAX_SOURCES {
            return wrong("data", format!("wants at most {MAX_SOURCES} names"));
        }
        let mut sources = Vec::new();
        for (name, source) in common.data {
            let field = format!("data.{name}");
            if !is_name(name) {
                return wrong(
                    &field,
                    "wants a name of letters, digits, `_` and `-` that begins with a letter",
                );
            }
            sources.push(source.compile(&field, common.part)?);
        }
        Ok(Self {
            data: common.data,
            sources,
            slots: 0,
            captured: BTreeMap::new(),
            used: BTreeSet::new(),
            #[cfg(feature = "postgres")]
            statements: Vec::new(),
        })
    }

    fn flow<S: Spoken>(
        &mut self,
        steps: &[S],
        field: &str,
        first: usize,
        headers: &BTreeMap<String, String>,
    ) -> Result<(Vec<CompiledStep>, Vec<usize>), PlanError> {
        self.captured.clear();
        self.used.clear();
        let mut compiled = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            let field = format!("{field}steps[{number}]");
            compiled.push(self.step(&step.parts(), &field, first + number, headers)?);
        }
        Ok((compiled, self.used.iter().copied().collect()))
    }

    fn step(
        &mut self,
        step: &Parts<'_>,
        field: &str,
        number: usize,
        common: &BTreeMap<String, String>,
    ) -> Result<CompiledStep, PlanError> {
        let at = |name: &str| format!("{field}.{name}");
        if step.think_ms > MAX_THINK_MS {
            return wrong(
                &at("think_ms"),
                format!("wants at most {MAX_THINK_MS} milliseconds"),
            );
        }
        let sends = match &step.own {
            Own::Http(step) => self.http(step, field, common)?,
            #[cfg(feature = "postgres")]
            Own::Postgres(step) => self.sql(step, field)?,
            #[cfg(feature = "websocket")]
            Own::WebSocket(step) => self.message(step, field)?,
        };
        let expected = step.expect.compile(&at("expect"), step.own.protocol())?;
        let mut takers = Vec::new();
        for (name, capture) in step.capture {
            let field = at(&format!("capture.{name}"));
            if !is_name(name) || self.data.contains_key(name) {
                return wrong(
                    &field,
                    "wants a name of letters, digits, `_` and `-` that `data` does not have",
                );
            }
            let taker = capture.compile(&field, step.own.protocol())?;
            let slot = match self.captured.get(name) {
                Some(slot) => *slot,
                None => self.slot(),
            };
            takers.push((name.clone(), slot, taker));
        }
        // Known from the next step on.
        for (name, slot, _) in &takers {
            self.captured.insert(name.clone(), *slot);
        }
        Ok(CompiledStep {
            number,
            think: Duration::from_millis(step.think_ms),
            sends,
            expected,
            takers,
        })
    }

    pub(super) fn template(&mut self, text: &str, field: &str) -> Result<Template, PlanError> {
        Template::compile(text, field, &mut |name| self.resolve(name))
    }

    fn resolve(&mut self, name: &str) -> Result<usize, String> {
        if let Some(slot) = self.captured.get(name) {
            return Ok(*slot);
        }
        let (source, column) = match name.split_once('.') {
            Some((source, column)) => (source, Some(column)),
            None => (name, None),
        };
        // Sources lie in the order of the map's keys.
        let Some(number) = self.data.keys().position(|key| key == source) else {
            let known: Vec<&str> = self
                .data
                .keys()
                .chain(self.captured.keys())
                .map(String::as_str)
                .collect();
            let known = if known.is_empty() {
                "nothing".to_owned()
            } else {
                known.join(", ")
            };
            return Err(format!(
                "is neither in `data` nor captured by a step before; there is {known}"
            ));
        };
        let column = self.sources[number].column(column)?;
        self.used.insert(number);
        let known = self.sources[number].outputs.iter();
        if let Some((_, slot)) = known.clone().find(|(own, _)| *own == column) {
            return Ok(*slot);
        }
        let slot = self.slot();
        self.sources[number].outputs.push((column, slot));
        Ok(slot)
    }

    fn slot(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }
}

//! A plan's flows, checked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::{HeaderName, Method};

use super::compiled::{CompiledFlow, CompiledStep, Script};
use super::data::{Drawn, Source};
use super::template::{Form, Template, is_name};
use super::{Flow, MAX_STEPS, MAX_THINK_MS, Step};
use crate::part::Part;
use crate::plan::{MAX_BODY_BYTES, PlanError, checked_headers, checked_path, wrong};

const MAX_FLOWS: usize = 20;
const MAX_WEIGHT: u32 = 1_000;
const MAX_SOURCES: usize = 64;
/// In the place of a value where the text around it is checked.
const EXAMPLE: &str = "x";

/// What all steps of a plan have in common.
pub(crate) struct Common<'a> {
    pub(crate) data: &'a BTreeMap<String, Source>,
    pub(crate) headers: &'a BTreeMap<String, String>,
    pub(crate) seed: u64,
    pub(crate) part: Part,
}

/// Names while they are looked for.
struct Names<'a> {
    data: &'a BTreeMap<String, Source>,
    sources: Vec<Drawn>,
    slots: usize,
    /// Of the flow: what steps before captured.
    captured: BTreeMap<String, usize>,
    /// Of the flow: the sources that it uses.
    used: BTreeSet<usize>,
}

/// `steps` are one flow that needs no name.
pub(crate) fn compile(
    steps: &[Step],
    flows: &[Flow],
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
    let mut add = |prefix: &str, field: &str, steps: &[Step]| {
        let first = report_names.len();
        report_names.extend(steps.iter().map(|step| match &step.name {
            Some(name) => format!("{prefix}{name}"),
            None => format!("{prefix}{} {}", step.method, step.path),
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
        })
    }

    fn flow(
        &mut self,
        steps: &[Step],
        field: &str,
        first: usize,
        headers: &BTreeMap<String, String>,
    ) -> Result<(Vec<CompiledStep>, Vec<usize>), PlanError> {
        self.captured.clear();
        self.used.clear();
        let mut compiled = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            let field = format!("{field}steps[{number}]");
            compiled.push(self.step(step, &field, first + number, headers)?);
        }
        Ok((compiled, self.used.iter().copied().collect()))
    }

    fn step(
        &mut self,
        step: &Step,
        field: &str,
        number: usize,
        common: &BTreeMap<String, String>,
    ) -> Result<CompiledStep, PlanError> {
        let at = |name: &str| format!("{field}.{name}");
        let method = match Method::from_bytes(step.method.as_bytes()) {
            Ok(method) if method != Method::CONNECT => method,
            _ => return wrong(&at("method"), "wants an HTTP method such as GET"),
        };
        if step.think_ms > MAX_THINK_MS {
            return wrong(
                &at("think_ms"),
                format!("wants at most {MAX_THINK_MS} milliseconds"),
            );
        }
        let path = self.template(&step.path, &at("path"))?;
        let example = vec![EXAMPLE.to_owned(); self.slots];
        checked_path(&path.render(&example, Form::Path)).map_err(|error| PlanError {
            field: at("path"),
            ..error
        })?;
        let mut headers = Vec::new();
        let own = step.headers.iter().map(|header| (header, at("headers")));
        let before = common.iter().map(|header| (header, "headers".to_owned()));
        for ((name, value), field) in before.chain(own) {
            let field = format!("{field}.{name}");
            let template = self.template(value, &field)?;
            let example = vec![EXAMPLE.to_owned(); self.slots];
            let example = template.render(&example, Form::Plain);
            let checked = checked_headers(&[(name.clone(), example)].into());
            checked.map_err(|error| PlanError { field, ..error })?;
            // It was one a line above.
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
                continue;
            };
            headers.retain(|(other, _)| *other != name);
            headers.push((name, template));
        }
        let body = step.body.as_deref().unwrap_or_default();
        if body.len() > MAX_BODY_BYTES {
            return wrong(
                &at("body"),
                format!("wants at most {MAX_BODY_BYTES} bytes, has {}", body.len()),
            );
        }
        let body = self.template(body, &at("body"))?;
        let expected = step.expect.compile(&at("expect"))?;
        let mut takers = Vec::new();
        for (name, capture) in &step.capture {
            let field = at(&format!("capture.{name}"));
            if !is_name(name) || self.data.contains_key(name) {
                return wrong(
                    &field,
                    "wants a name of letters, digits, `_` and `-` that `data` does not have",
                );
            }
            let taker = capture.compile(&field)?;
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
            method,
            path,
            headers,
            body,
            expected,
            takers,
        })
    }

    fn template(&mut self, text: &str, field: &str) -> Result<Template, PlanError> {
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

//! A script as the engine runs it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::header::COOKIE;
use http::{HeaderName, HeaderValue, Method};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::capture::Taker;
use super::cookies::Cookies;
use super::data::Drawn;
use super::expect::{Expected, Unmet};
use super::reply::Reply;
use super::template::{Form, Template};
use crate::part::Part;
use crate::plan::MAX_BODY_BYTES;
use crate::record::Answer;
use crate::request::Request;

/// All flows of a plan, shared by the threads of a run.
#[derive(Debug)]
pub(crate) struct Script {
    flows: Vec<CompiledFlow>,
    sources: Vec<Drawn>,
    slots: usize,
    names: Vec<String>,
    seed: u64,
    visitors: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct CompiledFlow {
    /// The sum of the weights up to it.
    until: u32,
    steps: Vec<CompiledStep>,
    sources: Vec<usize>,
}

#[derive(Debug)]
pub(crate) struct CompiledStep {
    /// Its place among the steps of all flows.
    pub(crate) number: usize,
    pub(crate) think: Duration,
    pub(super) method: Method,
    pub(super) path: Template,
    pub(super) headers: Vec<(HeaderName, Template)>,
    pub(super) body: Template,
    pub(super) expected: Expected,
    /// Name, place of the value, where it lies.
    pub(super) takers: Vec<(String, usize, Taker)>,
}

/// One visitor after the other: what the present one knows.
#[derive(Debug)]
pub(crate) struct Visitor {
    values: Vec<String>,
    cookies: Cookies,
    random: StdRng,
    /// The answer to its last request.
    pub(crate) reply: Reply,
}

impl CompiledFlow {
    pub(super) fn new(until: u32, (steps, sources): (Vec<CompiledStep>, Vec<usize>)) -> Self {
        Self {
            until,
            steps,
            sources,
        }
    }
}

impl Script {
    pub(super) fn new(
        flows: Vec<CompiledFlow>,
        sources: Vec<Drawn>,
        slots: usize,
        names: Vec<String>,
        seed: u64,
        part: Part,
    ) -> Self {
        Self {
            flows,
            sources,
            slots,
            names,
            // Parts have other visitors.
            seed: seed ^ (part.number() - 1) << 40,
            visitors: AtomicU64::new(0),
        }
    }

    /// How reports name the steps of all flows, in their order.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    pub(crate) fn visitor(&self) -> Visitor {
        let number = self.visitors.fetch_add(1, Relaxed);
        Visitor {
            values: vec![String::new(); self.slots],
            cookies: Cookies::default(),
            random: StdRng::seed_from_u64(self.seed ^ number),
            reply: Reply::default(),
        }
    }

    /// Somebody new comes: the steps to take, with their data drawn.
    pub(crate) fn begin(&self, visitor: &mut Visitor) -> &[CompiledStep] {
        visitor.cookies.clear();
        let total = self.flows.last().map_or(1, |last| last.until);
        let at = visitor.random.random_range(0..total);
        let Some(flow) = self.flows.iter().find(|flow| at < flow.until) else {
            return &[];
        };
        for source in &flow.sources {
            self.sources[*source].draw(&mut visitor.random, &mut visitor.values);
        }
        &flow.steps
    }
}

impl CompiledStep {
    /// The request; or why there is none: a captured text that no header can hold.
    pub(crate) fn request(&self, visitor: &mut Visitor) -> Result<Request, Unmet> {
        let values = &visitor.values;
        let path = self.path.render(values, Form::Path);
        let mut headers = Vec::with_capacity(self.headers.len() + 1);
        let value_of = |text: &str, name: &HeaderName| {
            HeaderValue::from_str(text)
                .map_err(|_| Unmet::check(format!("header {name} of the request")))
        };
        for (name, template) in &self.headers {
            headers.push((
                name.clone(),
                value_of(&template.render(values, Form::Plain), name)?,
            ));
        }
        if !self.headers.iter().any(|(name, _)| *name == COOKIE)
            && let Some(cookies) = visitor.cookies.header(&path)
        {
            headers.push((COOKIE, value_of(&cookies, &COOKIE)?));
        }
        let body = self.body.render(values, Form::Plain);
        if body.len() > MAX_BODY_BYTES {
            return Err(Unmet::check("body of the request"));
        }
        visitor
            .reply
            .clear(self.expected.looks_inside() || !self.takers.is_empty());
        Ok(Request {
            method: self.method.clone(),
            path,
            headers,
            body: Bytes::from(body),
        })
    }

    /// Looks at the answer, which is the visitor's reply, and takes from it what later steps need.
    pub(crate) fn judge(
        &self,
        visitor: &mut Visitor,
        path: &str,
        answer: &Answer,
        took: Duration,
    ) -> Result<(), Unmet> {
        let reply = &visitor.reply;
        visitor.cookies.take(reply, path);
        let needs_json = self.expected.needs_json()
            || self.takers.iter().any(|(_, _, taker)| taker.needs_json());
        let json = needs_json.then(|| reply.json()).flatten();
        self.expected.judge(answer, took, reply, json.as_ref())?;
        for (name, slot, taker) in &self.takers {
            match taker.take(reply, json.as_ref()) {
                Some(value) => visitor.values[*slot] = value,
                None => return Err(Unmet::check(format!("capture {name}"))),
            }
        }
        Ok(())
    }
}

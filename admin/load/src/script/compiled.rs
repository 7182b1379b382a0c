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
    #[cfg(feature = "postgres")]
    statements: Vec<Prepared>,
    seed: u64,
    part: u64,
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
    pub(super) sends: Sends,
    pub(super) expected: Expected,
    /// Name, place of the value, where it lies.
    pub(super) takers: Vec<(String, usize, Taker)>,
}

/// What it sends, with names in it.
#[derive(Debug)]
pub(super) enum Sends {
    Http {
        method: Method,
        path: Template,
        headers: Vec<(HeaderName, Template)>,
        body: Template,
    },
    #[cfg(feature = "postgres")]
    Sql {
        statement: usize,
        parameters: Vec<Option<Template>>,
    },
    #[cfg(feature = "websocket")]
    Message {
        /// None only waits.
        content: Option<Content>,
        reply: crate::Reply,
    },
}

#[cfg(feature = "websocket")]
#[derive(Debug)]
pub(super) enum Content {
    Text(Template),
    Binary(Bytes),
}

/// A statement of PostgreSQL, and what has to be right about it.
#[cfg(feature = "postgres")]
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) sql: String,
    /// Path of its step.
    pub(crate) field: String,
    pub(crate) parameters: usize,
    /// That are captured, each with the path of its field.
    pub(crate) columns: Vec<(String, String)>,
}

/// What is sent, with values in it.
pub(crate) enum Sent {
    Http(Request),
    #[cfg(feature = "postgres")]
    Sql(Sql),
    #[cfg(feature = "websocket")]
    Message(Message),
}

/// An execution of a statement.
#[cfg(feature = "postgres")]
pub(crate) struct Sql {
    pub(crate) statement: usize,
    pub(crate) parameters: Vec<Option<String>>,
}

/// A message, and which one is its answer.
#[cfg(feature = "websocket")]
pub(crate) struct Message {
    /// With whether it is text.
    pub(crate) content: Option<(Bytes, bool)>,
    pub(crate) reply: crate::Reply,
}

impl Sent {
    /// Of protocols that have one.
    pub(crate) fn path(&self) -> &str {
        match self {
            Self::Http(request) => &request.path,
            #[cfg(any(feature = "postgres", feature = "websocket"))]
            _ => "",
        }
    }
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
        #[cfg(feature = "postgres")] statements: Vec<Prepared>,
        seed: u64,
        part: Part,
    ) -> Self {
        Self {
            flows,
            sources,
            slots,
            names,
            #[cfg(feature = "postgres")]
            statements,
            seed,
            part: part.number(),
            visitors: AtomicU64::new(0),
        }
    }

    /// How reports name the steps of all flows, in their order.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn statements(&self) -> &[Prepared] {
        &self.statements
    }

    pub(crate) fn visitor(&self) -> Visitor {
        let number = self.visitors.fetch_add(1, Relaxed);
        Visitor {
            values: vec![String::new(); self.slots],
            cookies: Cookies::default(),
            random: of_visitor(self.seed, self.part, number),
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

/// Random numbers of one visitor, that no visitor of another seed or part of the plan shares: each fills a place of its own in the
/// generator's seed.
fn of_visitor(seed: u64, part: u64, number: u64) -> StdRng {
    let mut whole = [0; 32];
    whole[..8].copy_from_slice(&seed.to_le_bytes());
    whole[8..16].copy_from_slice(&number.to_le_bytes());
    whole[16..24].copy_from_slice(&part.to_le_bytes());
    StdRng::from_seed(whole)
}

impl CompiledStep {
    /// What is sent; or why there is nothing: a captured text that no header can hold.
    pub(crate) fn request(&self, visitor: &mut Visitor) -> Result<Sent, Unmet> {
        let sent = match &self.sends {
            Sends::Http {
                method,
                path,
                headers,
                body,
            } => {
                let path = path.render(&visitor.values, Form::Path);
                Sent::Http(Request {
                    method: method.clone(),
                    headers: rendered(headers, visitor, &path)?,
                    body: text(body, &visitor.values, "body of the request")?,
                    path,
                })
            }
            #[cfg(feature = "postgres")]
            Sends::Sql {
                statement,
                parameters,
            } => {
                let mut rendered = Vec::with_capacity(parameters.len());
                for parameter in parameters {
                    rendered.push(match parameter {
                        Some(template) => Some(template.render(&visitor.values, Form::Plain)),
                        None => None,
                    });
                }
                let mut texts = rendered.iter().flatten();
                if texts.any(|text| text.contains('\0')) {
                    return Err(Unmet::check("parameters of the statement"));
                }
                Sent::Sql(Sql {
                    statement: *statement,
                    parameters: rendered,
                })
            }
            #[cfg(feature = "websocket")]
            Sends::Message { content, reply } => {
                let content = match content {
                    None => None,
                    Some(Content::Binary(bytes)) => Some((bytes.clone(), false)),
                    Some(Content::Text(template)) => Some((
                        text(template, &visitor.values, "text of the message")?,
                        true,
                    )),
                };
                Sent::Message(Message {
                    content,
                    reply: reply.clone(),
                })
            }
        };
        visitor
            .reply
            .clear(self.expected.looks_inside() || !self.takers.is_empty());
        Ok(sent)
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

fn text(template: &Template, values: &[String], name: &str) -> Result<Bytes, Unmet> {
    let text = template.render(values, Form::Plain);
    if text.len() > MAX_BODY_BYTES {
        return Err(Unmet::check(name));
    }
    Ok(Bytes::from(text))
}

/// Headers with values in them, and the visitor's cookies where the step has none of its own.
fn rendered(
    templates: &[(HeaderName, Template)],
    visitor: &Visitor,
    path: &str,
) -> Result<Vec<(HeaderName, HeaderValue)>, Unmet> {
    let mut headers = Vec::with_capacity(templates.len() + 1);
    let value_of = |text: &str, name: &HeaderName| {
        HeaderValue::from_str(text)
            .map_err(|_| Unmet::check(format!("header {name} of the request")))
    };
    for (name, template) in templates {
        let text = template.render(&visitor.values, Form::Plain);
        headers.push((name.clone(), value_of(&text, name)?));
    }
    if !templates.iter().any(|(name, _)| *name == COOKIE)
        && let Some(cookies) = visitor.cookies.header(path)
    {
        headers.push((COOKIE, value_of(&cookies, &COOKIE)?));
    }
    Ok(headers)
}

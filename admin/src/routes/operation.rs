//! What one route does with one method: declared once, and from that both the router and the OpenAPI document are made.

use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::Method;
use serde_json::Value;

use crate::Inner;

/// Why a route refuses with 429.
pub(crate) const WRONG_TOKEN: &str = "Too many requests with a wrong token.";

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody.
    Public,
    /// A reader, or an operator.
    Reader,
    /// An operator.
    Operator,
}

/// A parameter of the query.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    /// An example with the marks of [`super::shape`].
    pub(crate) written: Value,
    pub(crate) says: &'static str,
}

/// What a good answer looks like.
#[derive(Debug, Clone)]
pub(crate) struct Good {
    pub(crate) status: u16,
    /// `application/json` as a rule.
    pub(crate) kind: &'static str,
    /// An example with the marks of [`super::shape`].
    pub(crate) written: Value,
}

/// One route with one method.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) says: &'static str,
    pub(crate) access: Access,
    pub(crate) query: Vec<Parameter>,
    pub(crate) body: Option<Value>,
    /// The largest body, where it may be larger than others.
    pub(crate) max_body: Option<usize>,
    pub(crate) good: Vec<Good>,
    /// Where a 303 leads to, if it may answer one.
    pub(crate) leads: Option<&'static str>,
    /// Problems beside those that every route has.
    pub(crate) refused: Vec<(u16, &'static str)>,
    /// Whether its answer has an `ETag`.
    pub(crate) is_tagged: bool,
    pub(crate) handler: MethodRouter<Arc<Inner>>,
}

impl Operation {
    fn new<H, T>(method: Method, path: &'static str, says: &'static str, handler: H) -> Self
    where
        H: Handler<T, Arc<Inner>>,
        T: 'static,
    {
        let (filter, access) = match method {
            Method::GET => (MethodFilter::GET, Access::Reader),
            Method::DELETE => (MethodFilter::DELETE, Access::Operator),
            _ => (MethodFilter::POST, Access::Operator),
        };
        Self {
            method,
            path,
            says,
            access,
            query: Vec::new(),
            body: None,
            max_body: None,
            good: Vec::new(),
            leads: None,
            refused: Vec::new(),
            is_tagged: false,
            handler: on(filter, handler),
        }
    }

    pub(crate) fn get<H: Handler<T, Arc<Inner>>, T: 'static>(
        path: &'static str,
        says: &'static str,
        handler: H,
    ) -> Self {
        Self::new(Method::GET, path, says, handler)
    }

    pub(crate) fn post<H: Handler<T, Arc<Inner>>, T: 'static>(
        path: &'static str,
        says: &'static str,
        handler: H,
    ) -> Self {
        Self::new(Method::POST, path, says, handler)
    }

    pub(crate) fn delete<H: Handler<T, Arc<Inner>>, T: 'static>(
        path: &'static str,
        says: &'static str,
        handler: H,
    ) -> Self {
        Self::new(Method::DELETE, path, says, handler)
    }

    /// Anybody may ask.
    pub(crate) fn public(mut self) -> Self {
        self.access = Access::Public;
        self
    }

    /// A parameter of the query, which may be left out.
    pub(crate) fn query(
        mut self,
        name: &'static str,
        written: impl Into<Value>,
        says: &'static str,
    ) -> Self {
        self.query.push(Parameter {
            name,
            written: written.into(),
            says,
        });
        self
    }

    /// What the request's body holds; none of it is needed unless its name has no mark.
    pub(crate) fn takes(mut self, written: Value) -> Self {
        self.body = Some(written);
        self
    }

    /// Its body may be so large, in bytes.
    pub(crate) fn takes_up_to(mut self, bytes: usize) -> Self {
        self.max_body = Some(bytes);
        self
    }

    pub(crate) fn gives(self, written: Value) -> Self {
        self.gives_as(200, "application/json", written)
    }

    pub(crate) fn gives_as(mut self, status: u16, kind: &'static str, written: Value) -> Self {
        self.good.push(Good {
            status,
            kind,
            written,
        });
        self
    }

    /// It may answer 303: `says` whither, and for whom.
    pub(crate) fn leads(mut self, says: &'static str) -> Self {
        self.leads = Some(says);
        self
    }

    pub(crate) fn refuses(mut self, status: u16, says: &'static str) -> Self {
        self.refused.push((status, says));
        self
    }

    /// The answer is large and has an `ETag`.
    pub(crate) fn tagged(mut self) -> Self {
        self.is_tagged = true;
        self
    }

    /// `POST /cache/clear`
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

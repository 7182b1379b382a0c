//! A request of HTTP, with everything in it that is not the connection's own.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};

use crate::plan::Checked;

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

impl Request {
    /// The one of a plan that has one.
    pub(crate) fn of(plan: &Checked) -> Self {
        let path = plan.path.path_and_query();
        Self {
            method: plan.method.clone(),
            path: path.map_or("/", |path| path.as_str()).to_owned(),
            headers: plan
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            body: plan.body.clone(),
        }
    }
}

//! A part of an answer that may be missing, with the reason.

use std::fmt::Display;

use serde::Serialize;

/// Serialises as the value itself, or as `{"unavailable": "why, and what to do"}`.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Section<T> {
    Ready(T),
    Missing { unavailable: String },
}

impl<T> Section<T> {
    pub(crate) fn missing(why: impl Into<String>) -> Self {
        Self::Missing {
            unavailable: why.into(),
        }
    }

    pub(crate) fn ready(&self) -> Option<&T> {
        match self {
            Self::Ready(value) => Some(value),
            Self::Missing { .. } => None,
        }
    }
}

impl<T, E: Display> From<Result<T, E>> for Section<T> {
    fn from(found: Result<T, E>) -> Self {
        found.map_or_else(|error| Self::missing(error.to_string()), Self::Ready)
    }
}

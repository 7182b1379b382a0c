//! What a file of results says, before any of it is believed.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::json::Histograms;
use super::results::Parts;
use super::{GeneratorLimited, Model};
use crate::details::Details;
use crate::record::ErrorKind;
use crate::threshold::{Breach, Threshold};

#[derive(Deserialize)]
pub(super) struct Read {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) start_s: f64,
    pub(super) target: String,
    pub(super) began_unix_s: f64,
    pub(super) plan: Value,
    pub(super) parts: Parts,
    pub(super) report: ReadReport,
    pub(super) thresholds: Vec<ReadThreshold>,
    pub(super) stopped_by: Option<Breach>,
    pub(super) histograms: Histograms,
    #[serde(default)]
    pub(super) scenarios: Vec<Self>,
}

#[derive(Deserialize)]
pub(super) struct ReadReport {
    pub(super) model: Model,
    pub(super) cancelled: bool,
    pub(super) elapsed_s: f64,
    /// Of a file that has none: `elapsed_s`.
    pub(super) rate_over_s: Option<f64>,
    pub(super) errors: BTreeMap<ErrorKind, u64>,
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) body_bytes: u64,
    pub(super) connections: Details,
    pub(super) due: u64,
    pub(super) unfinished: u64,
    #[serde(default)]
    pub(super) unfinished_follow_ups: u64,
    #[serde(default)]
    pub(super) steps: Vec<ReadStep>,
    pub(super) cpu_s: f64,
    #[serde(default)]
    pub(super) observed_dropped: u64,
    pub(super) generator_limited: Option<GeneratorLimited>,
    pub(super) intervals: Vec<ReadInterval>,
}

#[derive(Deserialize)]
pub(super) struct ReadStep {
    pub(super) name: String,
    pub(super) errors: BTreeMap<ErrorKind, u64>,
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) body_bytes: u64,
    pub(super) unmet: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
pub(super) struct ReadInterval {
    pub(super) until_s: f64,
    pub(super) duration_s: f64,
    pub(super) errors: u64,
    #[serde(default)]
    pub(super) body_bytes: u64,
    #[serde(default)]
    pub(super) in_flight: u64,
    #[serde(default)]
    pub(super) cpu_s: f64,
    #[serde(default)]
    pub(super) observed: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
pub(super) struct ReadThreshold {
    pub(super) threshold: Threshold,
}

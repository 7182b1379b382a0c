//! A report, or one of its steps, as a threshold looks at it.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::percentiles::Percentiles;
use crate::record::ErrorKind;
use crate::report::{Histograms, Report};

/// Which times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Series {
    Response,
    Service,
    Failed,
    Lag,
}

pub(super) struct View<'a> {
    /// Of what only a whole has.
    pub(super) whole: Option<&'a Report>,
    pub(super) requests: u64,
    pub(super) ok: u64,
    pub(super) errors: &'a BTreeMap<ErrorKind, u64>,
    pub(super) body_bytes: u64,
    pub(super) rate_over_s: f64,
    response: &'a Percentiles,
    service: &'a Percentiles,
    failed: &'a Percentiles,
    lag: &'a Percentiles,
    histograms: &'a Histograms,
    is_closed: bool,
}

impl<'a> View<'a> {
    /// None where the report has no such step.
    pub(super) fn of(report: &'a Report, step: Option<&str>) -> Option<Self> {
        let is_closed = report.model == crate::Model::Closed;
        let Some(name) = step else {
            return Some(Self {
                whole: Some(report),
                requests: report.requests,
                ok: report.ok,
                errors: &report.errors,
                body_bytes: report.body_bytes,
                rate_over_s: report.rate_over_s,
                response: &report.response,
                service: &report.service,
                failed: &report.failed,
                lag: &report.lag,
                histograms: &report.histograms,
                is_closed,
            });
        };
        let step = report.steps.iter().find(|step| step.name == name)?;
        Some(Self {
            whole: None,
            requests: step.requests,
            ok: step.ok,
            errors: &step.errors,
            body_bytes: step.body_bytes,
            rate_over_s: report.rate_over_s,
            response: &step.response,
            service: &step.service,
            failed: &step.failed,
            lag: &step.lag,
            histograms: &step.histograms,
            is_closed,
        })
    }

    pub(super) fn times(&self, series: Series) -> &Percentiles {
        match series {
            Series::Response => self.response,
            Series::Service => self.service,
            Series::Failed => self.failed,
            Series::Lag => self.lag,
        }
    }

    pub(super) fn histogram(&self, series: Series) -> Histogram<u64> {
        let own = &self.histograms;
        let packed = match series {
            // Service times of a closed model are its response times, and kept once.
            Series::Service if !self.is_closed => &own.service,
            Series::Response | Series::Service => &own.response,
            Series::Failed => &own.failed,
            Series::Lag => &own.lag,
        };
        packed.unpacked()
    }
}

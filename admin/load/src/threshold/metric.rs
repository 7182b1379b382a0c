//! What a threshold may speak of.

use super::view::{Series, View};
use crate::confidence::{low_end, needed};
use crate::record::ErrorKind;

/// A figure of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    Time(Series, Stat),
    ErrorRate,
    /// Errors of one kind, among all requests.
    KindRate(ErrorKind),
    Rate,
    Throughput,
    Requests,
    Missed,
    Dropped,
    Cpu,
}

/// What of them. The order is that of their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) enum Stat {
    Min,
    /// In hundredths of a per cent: 9999 is the 99.99th.
    Percentile(u16),
    Max,
    /// It can lie on either side of any percentile.
    Mean,
}

/// What its number is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Ms,
    /// Of all requests: 0 to 100.
    Percent,
    /// Of one core.
    PercentOfCore,
    PerSecond,
    BytesPerSecond,
    Count,
}

const SERIES: [(&str, Series); 4] = [
    ("", Series::Response),
    ("service_", Series::Service),
    ("failed_", Series::Failed),
    ("lag_", Series::Lag),
];

const STATS: [(&str, Stat); 10] = [
    ("mean", Stat::Mean),
    ("min", Stat::Min),
    ("max", Stat::Max),
    ("p50", Stat::Percentile(5_000)),
    ("p75", Stat::Percentile(7_500)),
    ("p90", Stat::Percentile(9_000)),
    ("p95", Stat::Percentile(9_500)),
    ("p99", Stat::Percentile(9_900)),
    ("p999", Stat::Percentile(9_990)),
    ("p9999", Stat::Percentile(9_999)),
];

const OTHERS: [(&str, Metric); 15] = [
    ("error_rate", Metric::ErrorRate),
    ("connect_rate", Metric::KindRate(ErrorKind::Connect)),
    ("tls_rate", Metric::KindRate(ErrorKind::Tls)),
    ("reset_rate", Metric::KindRate(ErrorKind::Reset)),
    ("timeout_rate", Metric::KindRate(ErrorKind::Timeout)),
    ("status_rate", Metric::KindRate(ErrorKind::Status)),
    ("protocol_rate", Metric::KindRate(ErrorKind::Protocol)),
    ("sql_rate", Metric::KindRate(ErrorKind::Sql)),
    ("check_rate", Metric::KindRate(ErrorKind::Check)),
    ("rate", Metric::Rate),
    ("throughput", Metric::Throughput),
    ("requests", Metric::Requests),
    ("missed", Metric::Missed),
    ("dropped", Metric::Dropped),
    ("cpu", Metric::Cpu),
];

/// All names, for who used another.
pub(super) fn names() -> String {
    let list = |names: &mut dyn Iterator<Item = &str>| names.collect::<Vec<_>>().join(", ");
    format!(
        "{} (each also with `service_`, `failed_` or `lag_` before it), {}",
        list(&mut STATS.iter().map(|(name, _)| *name)),
        list(&mut OTHERS.iter().map(|(name, _)| *name)),
    )
}

impl Metric {
    pub(super) fn named(name: &str) -> Option<Self> {
        if let Some((_, metric)) = OTHERS.iter().find(|(other, _)| *other == name) {
            return Some(*metric);
        }
        // The response's prefix is nothing, so it comes last.
        SERIES.iter().rev().find_map(|(prefix, series)| {
            let name = name.strip_prefix(prefix)?;
            let (_, stat) = STATS.iter().find(|(stat, _)| *stat == name)?;
            Some(Self::Time(*series, *stat))
        })
    }

    pub(super) fn name(self) -> String {
        let Self::Time(series, stat) = self else {
            let other = OTHERS.iter().find(|(_, metric)| *metric == self);
            return other.map_or("", |(name, _)| name).to_owned();
        };
        let prefix = SERIES.iter().find(|(_, other)| *other == series);
        let stat = STATS.iter().find(|(_, other)| *other == stat);
        prefix
            .zip(stat)
            .map(|((prefix, _), (stat, _))| format!("{prefix}{stat}"))
            .unwrap_or_default()
    }

    pub(super) fn unit(self) -> Unit {
        match self {
            Self::Time(..) => Unit::Ms,
            Self::ErrorRate | Self::KindRate(_) => Unit::Percent,
            Self::Cpu => Unit::PercentOfCore,
            Self::Rate => Unit::PerSecond,
            Self::Throughput => Unit::BytesPerSecond,
            Self::Requests | Self::Missed | Self::Dropped => Unit::Count,
        }
    }

    /// Whether the seconds of a run have it.
    pub(super) fn is_of_seconds(self) -> bool {
        matches!(
            self,
            Self::Time(Series::Response, _)
                | Self::ErrorRate
                | Self::Rate
                | Self::Throughput
                | Self::Cpu
        )
    }

    /// Whether each step of a plan has it.
    pub(super) fn is_of_steps(self) -> bool {
        !matches!(self, Self::Missed | Self::Dropped | Self::Cpu)
    }

    /// Whether it is of what was no good answer alone.
    pub(super) fn is_of_failures(self) -> bool {
        matches!(self, Self::Time(Series::Failed, _))
    }

    /// Whether it is never above the other, whatever the run: the lower of two percentiles of the same times, a service time,
    /// which is a part of its response time, and errors of one kind among all.
    pub(super) fn never_exceeds(self, other: Self) -> bool {
        if self == other {
            return true;
        }
        let (Self::Time(series, stat), Self::Time(others, higher)) = (self, other) else {
            return matches!((self, other), (Self::KindRate(_), Self::ErrorRate));
        };
        let is_part = series == others || (series, others) == (Series::Service, Series::Response);
        let is_lower = match (stat, higher) {
            (Stat::Min, _) | (_, Stat::Max) => true,
            (Stat::Mean, _) | (_, Stat::Mean) => stat == higher,
            _ => stat <= higher,
        };
        is_part && is_lower
    }

    /// What a report has of it.
    pub(super) fn measured(self, view: &View<'_>) -> Option<f64> {
        let per_second =
            |count: u64| (view.rate_over_s > 0.0).then(|| count as f64 / view.rate_over_s);
        let share =
            |count: u64| (view.requests > 0).then(|| 100.0 * count as f64 / view.requests as f64);
        match self {
            Self::Time(series, stat) => {
                let times = view.times(series);
                let value = match stat {
                    Stat::Mean => times.mean_ms,
                    Stat::Min => times.min_ms,
                    Stat::Max => times.max_ms,
                    Stat::Percentile(5_000) => times.p50_ms,
                    Stat::Percentile(7_500) => times.p75_ms,
                    Stat::Percentile(9_000) => times.p90_ms,
                    Stat::Percentile(9_500) => times.p95_ms,
                    Stat::Percentile(9_900) => times.p99_ms,
                    Stat::Percentile(9_990) => times.p999_ms,
                    Stat::Percentile(_) => times.p9999_ms,
                };
                (times.count > 0).then_some(value)
            }
            Self::ErrorRate => share(view.errors.values().sum()),
            Self::KindRate(kind) => share(view.errors.get(&kind).copied().unwrap_or(0)),
            Self::Rate => Some(per_second(view.ok).unwrap_or(0.0)),
            Self::Throughput => Some(per_second(view.body_bytes).unwrap_or(0.0)),
            Self::Requests => Some(view.requests as f64),
            Self::Missed => view.whole.map(|report| report.missed as f64),
            Self::Dropped => view.whole.map(|report| report.connections.dropped as f64),
            Self::Cpu => view
                .whole
                .filter(|report| report.elapsed_s > 0.0)
                .map(|report| 100.0 * report.cpu_s / report.elapsed_s),
        }
    }

    /// Of a percentile of which too few were counted: how many it takes, and the lower end of its interval where there is one.
    pub(super) fn too_few(self, view: &View<'_>) -> Option<(u64, Option<f64>)> {
        let Self::Time(series, Stat::Percentile(hundredths)) = self else {
            return None;
        };
        let quantile = f64::from(hundredths) / 1e4;
        let needed = needed(quantile);
        let count = view.times(series).count;
        if count == 0 || count >= needed {
            return None;
        }
        Some((needed, low_end(&view.histogram(series), quantile)))
    }
}

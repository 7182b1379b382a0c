//! A snapshot on its way from one instance to another.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::route::MAX_LABEL_BYTES;

use super::{
    buckets,
    class::StatusClass,
    detail::{Detail, Drops, SeriesDetail},
    exemplar::{Exemplar, MAX_EXEMPLARS},
    figures::Sums,
    ledger::{CodeSums, HOURS},
    recorder::registry::{MAX_SERIES, Method},
    snapshot::{Hour, LatencySnapshot, Rates, SeriesSnapshot},
    window::Window,
};

/// The form of [`LatencyWire`].
const VERSION: u8 = 1;

/// Hours of one row that are read, and that a merge keeps: those of instances whose clocks disagree.
pub(super) const MAX_WIRE_HOURS: usize = 2 * HOURS;
/// Status codes of one row that are read: all that there are, and none. A merge has those of all its instances.
const MAX_WIRE_CODES: usize = 1 + 900;
/// Bytes of a row's route: a label as long as one may be, nested.
const MAX_ROUTE_BYTES: usize = MAX_LABEL_BYTES + "/*".len();

/// Longer than any process runs, and a request lasts: a thousand years, in seconds.
const MAX_SECONDS: f64 = 1e3 * 365.25 * 86_400.0;
/// More requests than can be under way in one process.
const MAX_IN_FLIGHT: u64 = u32::MAX as u64;

/// A whole [`LatencySnapshot`], histograms included, for `serde`; made by [`LatencySnapshot::to_wire`], and a snapshot again by
/// `LatencySnapshot::try_from`. Its form is the library's own, and has a version.
///
/// # Errors
///
/// Deserializing fails with [`WireError::Version`]'s words where it comes from a release with another form.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LatencyWire {
    /// The first: what comes after it may have another form.
    #[serde(deserialize_with = "known_version")]
    version: u8,
    uptime_s: f64,
    taken_unix_ms: u64,
    covered_s: [f64; Window::ALL.len()],
    drops: Drops,
    in_flight: BTreeMap<String, u64>,
    series: Vec<WireSeries>,
    exemplars: BTreeMap<String, [Vec<Exemplar>; Window::ALL.len()]>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct WireSeries {
    route: String,
    method: String,
    status_class: String,
    rates: Rates,
    total: Sums,
    windows: [Sums; 4],
    before: [Sums; 4],
    hours: Vec<Hour>,
    codes: Vec<CodeSums>,
}

/// What another instance sent makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// It comes from a release of this library with another form.
    #[error(
        "the snapshot has version {0}, this library reads {VERSION}: update the older of the two"
    )]
    Version(u8),
    /// A number is none that a snapshot can have.
    #[error("the snapshot's {0} makes no sense")]
    Nonsense(&'static str),
    /// There is more of something than there may be.
    #[error("the snapshot has more {0} than there may be")]
    TooMany(&'static str),
}

impl LatencySnapshot {
    /// All of it, to be sent to where it is [merged](Self::merge).
    #[must_use]
    pub fn to_wire(&self) -> LatencyWire {
        LatencyWire {
            version: VERSION,
            uptime_s: self.uptime_s,
            taken_unix_ms: self.taken_unix_ms,
            covered_s: self.detail.covered_s,
            drops: self.drops(),
            in_flight: keyed(&self.detail.in_flight),
            exemplars: self
                .detail
                .exemplars
                .iter()
                .map(|(route, told)| (route.to_string(), told.all()))
                .collect(),
            series: self
                .series
                .iter()
                .map(|row| WireSeries {
                    route: row.route.clone(),
                    method: row.method.clone(),
                    status_class: row.status_class.to_owned(),
                    rates: row.rates,
                    total: row.detail.total.clone(),
                    windows: row.detail.rolling().0.clone(),
                    before: row.detail.rolling().1.clone(),
                    hours: row.detail.hours.to_vec(),
                    codes: row.detail.codes.to_vec(),
                })
                .collect(),
        }
    }
}

/// Neither NaN nor infinite, nor out of reason.
fn is_time(seconds: f64) -> bool {
    (0.0..=MAX_SECONDS).contains(&seconds)
}

impl Exemplar {
    /// Whether it can have been one: what it holds is written as it stands.
    fn is_sound(&self) -> bool {
        let is_trace = |id: &String| {
            id.len() == 32
                && id
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        is_time(self.took_ms / 1e3)
            && self.first_byte_ms.is_none_or(|ms| is_time(ms / 1e3))
            && Method::is_label(&self.method)
            && StatusClass::ALL
                .into_iter()
                .any(|class| class.as_str() == self.status_class)
            && self
                .status_code
                .is_none_or(|code| matches!(code, 100..=999))
            && self.trace_id.as_ref().is_none_or(is_trace)
    }
}

impl TryFrom<LatencyWire> for LatencySnapshot {
    type Error = WireError;

    fn try_from(wire: LatencyWire) -> Result<Self, WireError> {
        if !is_time(wire.uptime_s) {
            return Err(WireError::Nonsense("uptime_s"));
        }
        if !wire.covered_s.into_iter().all(is_time) {
            return Err(WireError::Nonsense("covered_s"));
        }
        if wire.series.len() > MAX_SERIES || wire.in_flight.len() > MAX_SERIES {
            return Err(WireError::TooMany("series"));
        }
        let mut exemplars = wire.exemplars.values().flatten();
        let has_many = exemplars.any(|window| window.len() > MAX_EXEMPLARS);
        if has_many || wire.exemplars.len() > MAX_SERIES {
            return Err(WireError::TooMany("exemplars"));
        }
        let mut exemplars = wire.exemplars.values().flatten().flatten();
        if !exemplars.all(Exemplar::is_sound) {
            return Err(WireError::Nonsense("exemplars"));
        }
        let mut routes = wire.in_flight.keys().chain(wire.exemplars.keys());
        if routes.any(|route| route.len() > MAX_ROUTE_BYTES) {
            return Err(WireError::Nonsense("route"));
        }
        if wire.in_flight.values().any(|count| *count > MAX_IN_FLIGHT) {
            return Err(WireError::Nonsense("in_flight"));
        }
        let mut rows = Vec::with_capacity(wire.series.len());
        let mut known = BTreeSet::new();
        for series in wire.series {
            let key = (&series.route, &series.method, &series.status_class);
            if !known.insert(format!("{key:?}")) {
                return Err(WireError::Nonsense("series, one of which is there twice,"));
            }
            rows.push(series.read(wire.covered_s)?);
        }
        let detail = Detail {
            covered_s: wire.covered_s,
            in_flight: keyed(&wire.in_flight),
            exemplars: wire
                .exemplars
                .into_iter()
                .map(|(route, windows)| (route.into(), Arc::new(windows.into())))
                .collect(),
            ..Detail::default()
        };
        let snapshot = Self::new(wire.uptime_s, wire.taken_unix_ms, rows, detail);
        Ok(snapshot.with_drops(wire.drops))
    }
}

fn known_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    match u8::deserialize(deserializer)? {
        VERSION => Ok(VERSION),
        other => Err(D::Error::custom(WireError::Version(other))),
    }
}

/// The same by another kind of text.
fn keyed<'a, A: AsRef<str>, B: From<&'a str> + Ord, T: Clone>(
    map: &'a BTreeMap<A, T>,
) -> BTreeMap<B, T> {
    let pairs = map.iter();
    pairs
        .map(|(key, value)| (B::from(key.as_ref()), value.clone()))
        .collect()
}

impl WireSeries {
    fn read(self, covered_s: [f64; Window::ALL.len()]) -> Result<SeriesSnapshot, WireError> {
        let class = StatusClass::ALL
            .into_iter()
            .find(|class| class.as_str() == self.status_class)
            .ok_or(WireError::Nonsense("status_class"))?;
        let rates = [
            self.rates.one_second,
            self.rates.one_minute,
            self.rates.five_minutes,
        ];
        if !rates.iter().all(|rate| rate.is_finite() && *rate >= 0.0) {
            return Err(WireError::Nonsense("rates"));
        }
        let rolling = self.windows.iter().chain(&self.before);
        if !rolling.chain([&self.total]).all(Sums::is_sound) {
            return Err(WireError::Nonsense("sums"));
        }
        if self.route.len() > MAX_ROUTE_BYTES || !Method::is_label(&self.method) {
            return Err(WireError::Nonsense("route or method"));
        }
        if self.hours.len() > MAX_WIRE_HOURS {
            return Err(WireError::TooMany("hours"));
        }
        if self.codes.len() > MAX_WIRE_CODES {
            return Err(WireError::TooMany("status codes"));
        }
        let is_code = |code: &CodeSums| {
            let sum = code
                .le
                .iter()
                .try_fold(0_u64, |sum, more| sum.checked_add(*more));
            sum.is_some_and(|sum| sum <= code.count) && matches!(code.code, 0 | 100..=999)
        };
        if !self.codes.iter().all(is_code) {
            return Err(WireError::Nonsense("status codes"));
        }
        let detail = SeriesDetail {
            class: Some(class),
            total: self.total,
            covered_s,
            past: None,
            last_minute: self.windows[Window::OneMinute as usize].count(),
            rolling: OnceLock::from((self.windows, self.before)),
            hours: self.hours.into(),
            codes: self.codes.into(),
        };
        let detail = Arc::new(detail);
        Ok(SeriesSnapshot::new(
            self.route,
            self.method,
            class,
            self.rates,
            detail,
        ))
    }
}

impl Sums {
    /// Whether one request's worth of it could have been counted.
    fn is_sound(&self) -> bool {
        let ended = self.errors.checked_add(self.aborted);
        self.min_nanos <= self.max_nanos
            && self.are_bounds_near()
            && ended.is_some_and(|ended| ended <= self.count())
            && self.first_byte.count() <= self.count()
    }

    /// Whether the least and the greatest time are near those of the histogram, and the mean lies between them: the coarsest buckets are a
    /// doubling wide, and the last has no end.
    fn are_bounds_near(&self) -> bool {
        let mut counts = self.body_end.counts().map(|(bucket, _)| bucket);
        let Some(first) = counts.next() else {
            return true;
        };
        let last = counts.last().unwrap_or(first);
        let nanos = |units: u64| units.saturating_mul(buckets::UNIT_NANOS);
        let (count, sum) = (u128::from(self.count()), u128::from(self.body_end_nanos));
        self.min_nanos >= nanos(buckets::low_units(first)) / 2
            && 2 * sum >= count * u128::from(self.min_nanos)
            && (last + 1 == buckets::BUCKETS
                || self.max_nanos <= nanos(2 * (buckets::high_units(last) + 1))
                    && sum <= 2 * count * u128::from(self.max_nanos))
    }
}

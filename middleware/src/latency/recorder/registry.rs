//! Which routes and series there are, for all threads of a layer. Asked when a thread meets one for the first time, and
//! never again.

use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    sync::{Arc, OnceLock},
};

use super::{
    super::{
        class::StatusClass,
        sync::{Mutex, lock},
    },
    label::RouteText,
};
use crate::route::{OVERFLOW, method_label};

/// The number of the route [`OVERFLOW`].
pub(crate) const OVERFLOW_ROUTE: u16 = 0;

/// Series that a layer may be told to keep at most: the number of a route is two bytes.
pub const MAX_SERIES: usize = u16::MAX as usize;

/// The series of [`OVERFLOW`], one a class, are always there and are the first.
pub(crate) const OVERFLOW_SERIES: usize = StatusClass::ALL.len();

/// Status codes of one (route, method, class) that are told apart in the outputs that want codes; those after them are told
/// together, under the class alone.
pub const MAX_STATUS_CODES: usize = 8;

/// The code of a request that has none of its own: of the class alone.
pub(crate) const NO_CODE: u16 = 0;

/// Beside a code: objectives judge the request by the time to its head. No code is so large, and so what is compared with each request stays one number.
pub(crate) const BY_HEAD: u16 = 1 << 15;

/// Method and end of a request: what a series is of, beside its route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeriesId {
    /// The status code, [`NO_CODE`] where the request was aborted or failed; with [`BY_HEAD`] or without.
    pub(crate) code: u16,
    pub(crate) class: StatusClass,
    pub(crate) method: Method,
}

impl SeriesId {
    /// The status code alone.
    pub(crate) fn code(self) -> u16 {
        self.code & !BY_HEAD
    }

    /// Whether objectives judge it by its head.
    pub(crate) fn is_by_head(self) -> bool {
        self.code & BY_HEAD != 0
    }

    /// All of it in one number, so that it is compared in one step.
    #[inline]
    fn packed(self) -> u32 {
        u32::from(self.code) | (self.class as u32) << 16 | u32::from(self.method.0) << 24
    }
}

impl PartialEq for SeriesId {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.packed() == other.packed()
    }
}

impl Eq for SeriesId {}

impl Hash for SeriesId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(self.packed());
    }
}

/// A request method by its number, so that it is a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub(crate) struct Method(u8);

impl Method {
    const LABELS: [&'static str; 12] = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY",
        "OTHER", "*",
    ];
    pub(crate) const HEAD: Self = Self(1);
    pub(crate) const CONNECT: Self = Self(7);
    /// Of the series of `overflow`.
    pub(crate) const ANY: Self = Self(11);

    /// See [`method_label`].
    #[inline(always)]
    pub(crate) fn of(method: &http::Method) -> Self {
        // Two that need no look at a text.
        if *method == http::Method::GET {
            return Self(0);
        }
        if *method == http::Method::POST {
            return Self(2);
        }
        Self::named(method)
    }

    #[inline(never)]
    fn named(method: &http::Method) -> Self {
        let label = method_label(method);
        let number = Self::LABELS.iter().position(|known| *known == label);
        Self(number.unwrap_or(10) as u8)
    }

    /// Whether it is what [`as_str`](Self::as_str) may answer.
    pub(crate) fn is_label(text: &str) -> bool {
        Self::LABELS.contains(&text)
    }

    pub(crate) fn as_str(self) -> &'static str {
        Self::LABELS[usize::from(self.0)]
    }

    /// Whether requests of this method have content by what the method means (RFC 9110, 9.3).
    #[inline]
    pub(crate) fn has_content(self) -> bool {
        // POST, PUT, PATCH, QUERY, and what nobody knows.
        matches!(self.0, 2..=4 | 9 | 10)
    }
}

/// One series: where a (route, method, class, code) is counted.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) route: u16,
    pub(crate) id: SeriesId,
}

/// All routes and series of a layer.
#[derive(Debug)]
pub(crate) struct Registry {
    state: Mutex<State>,
    /// The routes once there is no room for more, to be read without a lock: a label beyond the bound may come with each
    /// request.
    full: OnceLock<HashMap<Arc<str>, u16>>,
    max_series: usize,
}

#[derive(Debug)]
struct State {
    routes: Vec<Arc<str>>,
    by_label: HashMap<Arc<str>, u16>,
    series: Vec<Series>,
    by_id: HashMap<(u16, SeriesId), u32>,
    /// How many codes each (route, method, class) has; its length is what the bound is about.
    codes: HashMap<(u16, Method, StatusClass), usize>,
}

impl Registry {
    /// `max_series` counts those of `overflow`.
    pub(crate) fn new(max_series: usize) -> Self {
        let overflow: Arc<str> = OVERFLOW.into();
        let mut state = State {
            routes: vec![overflow.clone()],
            by_label: HashMap::from([(overflow, OVERFLOW_ROUTE)]),
            series: Vec::new(),
            by_id: HashMap::new(),
            codes: HashMap::new(),
        };
        for code in [NO_CODE, NO_CODE | BY_HEAD] {
            for class in StatusClass::ALL {
                let id = SeriesId {
                    method: Method::ANY,
                    class,
                    code,
                };
                state.series.push(Series {
                    route: OVERFLOW_ROUTE,
                    id,
                });
            }
        }
        Self {
            state: Mutex::new(state),
            full: OnceLock::new(),
            max_series: max_series.min(MAX_SERIES),
        }
    }

    /// The number of a route, a new one where there is room.
    pub(crate) fn route(&self, text: RouteText<'_>) -> Option<u16> {
        let label = text.to_label();
        if let Some(routes) = self.full.get() {
            return routes.get(&*label).copied();
        }
        let mut state = lock(&self.state);
        if let Some(route) = state.by_label.get(&*label) {
            return Some(*route);
        }
        // `overflow` is no series' route, so there may be as many as there may be series.
        if state.routes.len() + OVERFLOW_SERIES > self.max_series {
            let _ = self.full.set(state.by_label.clone());
            return None;
        }
        let label: Arc<str> = label.into();
        let route = state.routes.len() as u16;
        state.routes.push(label.clone());
        state.by_label.insert(label, route);
        Some(route)
    }

    /// The number of a series; that of `overflow` where there is no room for it.
    pub(crate) fn series(&self, route: u16, id: SeriesId) -> u32 {
        if route == OVERFLOW_ROUTE {
            return self.overflow(id);
        }
        let mut state = lock(&self.state);
        if let Some(series) = state.by_id.get(&(route, id)) {
            return *series;
        }
        let group = (route, id.method, id.class);
        let codes = state.codes.get(&group).copied();
        if codes.is_none() && state.codes.len() + OVERFLOW_SERIES >= self.max_series {
            return self.overflow(id);
        }
        let mut own = id;
        // A code that is judged in both ways is one code.
        let twin = |id: SeriesId| SeriesId {
            code: id.code ^ BY_HEAD,
            ..id
        };
        let mut is_known = state.by_id.contains_key(&(route, twin(own)));
        if !is_known && codes.unwrap_or(0) >= MAX_STATUS_CODES {
            own.code = NO_CODE | own.code & BY_HEAD;
            is_known = state.by_id.contains_key(&(route, twin(own)));
            if let Some(series) = state.by_id.get(&(route, own)) {
                return *series;
            }
        }
        let series = state.series.len() as u32;
        state.series.push(Series { route, id: own });
        state.by_id.insert((route, own), series);
        *state.codes.entry(group).or_default() += usize::from(!is_known);
        series
    }

    /// The number of a class's series in `overflow`.
    pub(crate) fn overflow(&self, id: SeriesId) -> u32 {
        let first = if id.is_by_head() { OVERFLOW_SERIES } else { 0 };
        first as u32 + id.class as u32
    }

    /// Routes that came after the first `known`.
    pub(crate) fn routes_after(&self, known: usize) -> Vec<Arc<str>> {
        lock(&self.state).routes[known..].to_vec()
    }

    /// Series that came after the first `known`.
    pub(crate) fn series_after(&self, known: usize) -> Vec<Series> {
        lock(&self.state).series[known..].to_vec()
    }
}

//! Which routes and series there are, for all threads of a layer. Asked when a thread meets one for the first time, and
//! never again.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use super::{
    super::{
        class::StatusClass,
        sync::{Mutex, lock},
    },
    label::RouteText,
};
use crate::route::OVERFLOW;

/// The number of the route [`OVERFLOW`].
pub(crate) const OVERFLOW_ROUTE: u32 = 0;

/// The series of [`OVERFLOW`], one a class, are always there and are the first.
pub(crate) const OVERFLOW_SERIES: usize = StatusClass::ALL.len();

/// Status codes of one (route, method, class) that are told apart in the outputs that want codes; those after them are told
/// together, under the class alone.
pub const MAX_STATUS_CODES: usize = 8;

/// The code of a request that has none of its own: of the class alone.
pub(crate) const NO_CODE: u16 = 0;

/// Method and end of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SeriesId {
    pub(crate) method: Method,
    pub(crate) class: StatusClass,
    /// The status code; [`NO_CODE`] where the request was aborted or failed.
    pub(crate) code: u16,
}

/// The method as a label; see [`method_label`](crate::route::method_label).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Method(pub(crate) &'static str);

/// One series: where a (route, method, class, code) is counted.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) route: u32,
    pub(crate) id: SeriesId,
}

/// All routes and series of a layer.
#[derive(Debug)]
pub(crate) struct Registry {
    state: Mutex<State>,
    /// The routes once there is no room for more, to be read without a lock: a label beyond the bound may come with each
    /// request.
    full: OnceLock<HashMap<Arc<str>, u32>>,
    max_series: usize,
}

#[derive(Debug)]
struct State {
    routes: Vec<Arc<str>>,
    by_label: HashMap<Arc<str>, u32>,
    series: Vec<Series>,
    by_id: HashMap<(u32, SeriesId), u32>,
    /// How many codes each (route, method, class) has; its length is what the bound is about.
    codes: HashMap<(u32, Method, StatusClass), usize>,
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
        for class in StatusClass::ALL {
            let id = SeriesId {
                method: Method("*"),
                class,
                code: NO_CODE,
            };
            state.series.push(Series {
                route: OVERFLOW_ROUTE,
                id,
            });
        }
        Self {
            state: Mutex::new(state),
            full: OnceLock::new(),
            max_series,
        }
    }

    /// The number of a route, a new one where there is room.
    pub(crate) fn route(&self, text: RouteText<'_>) -> Option<u32> {
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
        let route = state.routes.len() as u32;
        state.routes.push(label.clone());
        state.by_label.insert(label, route);
        Some(route)
    }

    /// The number of a series; that of `overflow` where there is no room for it.
    pub(crate) fn series(&self, route: u32, id: SeriesId) -> u32 {
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
        if codes.unwrap_or(0) >= MAX_STATUS_CODES {
            own.code = NO_CODE;
            if let Some(series) = state.by_id.get(&(route, own)) {
                return *series;
            }
        }
        let series = state.series.len() as u32;
        state.series.push(Series { route, id: own });
        state.by_id.insert((route, own), series);
        *state.codes.entry(group).or_default() += 1;
        series
    }

    /// The number of a class's series in `overflow`.
    pub(crate) fn overflow(&self, id: SeriesId) -> u32 {
        id.class as u32
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

//! What a snapshot holds beneath its fields.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    class::StatusClass, exemplar::Told, figures::Sums, ledger::CodeSums, snapshot::Hour,
    tally::SumsTally, timeline::Timeline, window::Window,
};

/// What all rows share.
#[derive(Debug, Default)]
pub(crate) struct Detail {
    pub(crate) rows: Box<[Arc<SeriesDetail>]>,
    /// Over all series, by window; made when it is asked for.
    pub(crate) total: [OnceLock<Sums>; Window::ALL.len()],
    /// Seconds that each window covers.
    pub(crate) covered_s: [f64; Window::ALL.len()],
    /// Requests under way, by route; a route without any may be absent.
    pub(crate) in_flight: BTreeMap<Arc<str>, u64>,
    /// The slowest requests of each route, by window.
    pub(crate) exemplars: BTreeMap<Arc<str>, Arc<Told>>,
}

impl Detail {
    pub(crate) fn total(&self, window: Window) -> &Sums {
        self.total[window as usize].get_or_init(|| {
            let mut tally = SumsTally::new();
            for row in &self.rows {
                tally.add(row.sums(window));
            }
            tally.to_sums()
        })
    }
}

/// What was left out, and why; and what all of it takes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Drops {
    pub(crate) room: u64,
    pub(crate) coarse_times: u64,
    pub(crate) coarse_slots: u64,
    pub(crate) exemplars: u64,
    pub(crate) panics: u64,
    pub(crate) memory_bytes: u64,
}

/// What a row tells beyond its fields.
#[derive(Debug, Default)]
pub(crate) struct SeriesDetail {
    pub(crate) class: Option<StatusClass>,
    pub(crate) total: Sums,
    pub(crate) covered_s: [f64; Window::ALL.len()],
    /// What the rolling windows are made of when they are asked for: a snapshot of many series must not cost what only few
    /// of its readers look at.
    pub(crate) past: Option<(Duration, Timeline)>,
    pub(crate) rolling: OnceLock<Rolling>,
    pub(crate) last_minute: u64,
    pub(crate) hours: Box<[Hour]>,
    pub(crate) codes: Box<[CodeSums]>,
}

/// The rolling windows, and those before them.
pub(crate) type Rolling = ([Sums; 4], [Sums; 4]);

impl SeriesDetail {
    pub(crate) fn rolling(&self) -> &Rolling {
        self.rolling.get_or_init(|| match &self.past {
            Some((now, timeline)) => timeline.windows(*now, &mut SumsTally::new()),
            None => Rolling::default(),
        })
    }

    pub(crate) fn sums(&self, window: Window) -> &Sums {
        self.rolling_of(window, 0).unwrap_or(&self.total)
    }

    pub(crate) fn rolling_of(&self, window: Window, before: usize) -> Option<&Sums> {
        window.length()?;
        let (rolling, earlier) = self.rolling();
        let windows = if before == 0 { rolling } else { earlier };
        windows.get(window as usize)
    }
}

//! From the ledger to a snapshot.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use super::{
    super::{
        detail::{Detail, Drops, SeriesDetail},
        exemplar::Told,
        handle::LatencyCounts,
        recorder::shared::Shared,
        snapshot::{LatencySnapshot, SeriesSnapshot},
        timeline::covered_s,
    },
    CodeSums, Hours, Ledger,
};

impl Ledger {
    /// As of the last fold.
    pub(crate) fn snapshot(&mut self, shared: &Shared) -> LatencySnapshot {
        let now = self.folded_at;
        let unix_ms = shared.clock().unix_ms();
        let hours = self.hours.unwrap_or_else(|| Hours::anchored(now, unix_ms));
        let covered_s = covered_s(now);
        let mut rows = Vec::with_capacity(self.series.len());
        let mut codes_of = vec![Vec::new(); self.series.len()];
        for (number, code) in self.codes.iter().enumerate() {
            codes_of[code.series].push(number);
        }
        for (series, codes) in self.series.iter().zip(codes_of) {
            if series.count == 0 {
                continue;
            }
            // Made anew each time: one that were kept would tell of windows that ended then, and take memory for nobody.
            let codes = || codes.iter().filter_map(|code| self.codes.get(*code));
            self.tally.clear();
            codes().for_each(|code| code.add_total(&mut self.tally));
            self.tally.set_numbers(&series.total);
            let detail = Arc::new(SeriesDetail {
                class: Some(series.key.class),
                total: self.tally.to_sums(),
                covered_s,
                last_minute: series.timeline.last_minute(now),
                past: Some((now, series.timeline.clone())),
                rolling: OnceLock::new(),
                hours: series.hours(&hours, now, unix_ms),
                codes: CodeSums::joined(codes().map(|code| &code.sums)),
            });
            self.tally.clear();
            rows.push(SeriesSnapshot::new(
                series.key.route.to_string(),
                series.key.method.to_owned(),
                series.key.class,
                series.average.rates(),
                detail,
            ));
        }
        let in_flight = self.in_flight();
        let exemplars = self.routes.iter().cloned().zip(&self.slowest);
        let exemplars = exemplars
            .filter(|(_, slowest)| !slowest.is_empty())
            .map(|(route, slowest)| {
                let told = Told::new(slowest.clone(), now, shared.exemplars());
                (route, Arc::new(told))
            })
            .collect();
        let coarse = self.codes.iter().map(super::Code::coarse).sum();
        LatencySnapshot::new(
            now.as_secs_f64(),
            unix_ms,
            rows,
            Detail {
                covered_s,
                in_flight,
                exemplars,
                ..Detail::default()
            },
        )
        .with_drops(Drops {
            room: shared.room().refused(),
            coarse_times: coarse,
            coarse_slots: self.coarsened,
            exemplars: self.forgotten,
            panics: shared.folder().panics(),
            memory_bytes: (shared.room().taken() + self.bytes()) as u64,
        })
    }

    /// As of the last fold.
    pub(crate) fn counts(&self) -> LatencyCounts {
        LatencyCounts {
            requests: self.series.iter().map(|series| series.count).sum(),
            in_flight: self.in_flight().values().sum(),
        }
    }

    /// Requests under way by route. Ends are looked at first: who has ended had begun.
    fn in_flight(&self) -> BTreeMap<Arc<str>, u64> {
        let mut by_route = vec![0_u32; self.routes.len()];
        let all = || self.slots.iter().flat_map(|view| &view.routes);
        for counters in all() {
            if let Some(sum) = by_route.get_mut(usize::from(counters.route)) {
                *sum = sum.wrapping_sub(counters.ended());
            }
        }
        for counters in all() {
            if let Some(sum) = by_route.get_mut(usize::from(counters.route)) {
                *sum = sum.wrapping_add(counters.begun());
            }
        }
        self.routes
            .iter()
            .cloned()
            .zip(by_route.into_iter().map(u64::from))
            .collect()
    }
}

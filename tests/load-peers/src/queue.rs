//! A server that answers at most so many requests a second and stalls once, as arithmetic: what visitors of it wait is
//! computed and not fitted.

/// Times in seconds from the first request.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// Between one answer and the next.
    pub(crate) gap_s: f64,
    pub(crate) stall_begin_s: f64,
    pub(crate) stall_end_s: f64,
}

/// The answers of a server, one after the other.
pub(crate) struct Queue {
    rules: Rules,
    next_s: f64,
}

impl Queue {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, next_s: 0.0 }
    }

    /// When a request that comes at `now` is answered.
    pub(crate) fn answered(&mut self, now: f64) -> f64 {
        let mut at = self.next_s.max(now);
        if (self.rules.stall_begin_s..self.rules.stall_end_s).contains(&at) {
            at = self.rules.stall_end_s;
        }
        self.next_s = at + self.rules.gap_s;
        at
    }
}

/// 95th, 99th and 99.9th percentile, in milliseconds, of what evenly spaced visitors wait.
pub(crate) fn truth(rate: f64, seconds: f64, rules: &Rules) -> Vec<f64> {
    let mut queue = Queue::new(*rules);
    let count = (rate * seconds).round();
    let mut waits: Vec<f64> = (0..count as u64)
        .map(|number| {
            let due = number as f64 / rate;
            queue.answered(due) - due
        })
        .collect();
    waits.sort_by(f64::total_cmp);
    [0.95, 0.99, 0.999]
        .map(|quantile| {
            let rank = (quantile * count).ceil() as usize;
            waits[rank.clamp(1, waits.len()) - 1] * 1e3
        })
        .to_vec()
}

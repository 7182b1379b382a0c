//! What the guard does, told.

use serde::Serialize;

use super::state::{InUse, Limits, Pressed};

/// What the guard does now.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GuardStatus {
    /// `calm`, `soft` or `hard`; `unknown` where limit or use is not known, and `idle` while no sampler runs: then the guard does
    /// nothing.
    pub level: &'static str,
    /// Bytes in use that count against the soft limit.
    pub used_bytes: Option<u64>,
    /// The soft limit; `None` where it is a share of a limit that is not known now.
    pub soft_limit_bytes: Option<u64>,
    /// The hard limit likewise.
    pub hard_limit_bytes: Option<u64>,
    /// Requests refused so far.
    pub refused: u64,
    /// Times that the soft limit was passed.
    pub soft_passed: u64,
    /// Times that the hard limit was passed.
    pub hard_passed: u64,
    /// The same in a sentence.
    pub detail: String,
}

impl GuardStatus {
    /// `is_attended`: whether a sampler looks.
    pub(in crate::memory) fn new(
        limits: &Limits,
        pressed: Pressed,
        now: &InUse,
        is_attended: bool,
        refused: u64,
    ) -> Self {
        let used = limits.soft.used(now);
        let (soft, hard) = (limits.soft.bytes(now), limits.hard.bytes(now));
        let is_known =
            used.is_some() && limits.hard.used(now).is_some() && soft.is_some() && hard.is_some();
        let (level, does) = match pressed {
            _ if !is_attended => ("idle", "no sampler runs, so the guard does nothing"),
            Pressed { hard: true, .. } => ("hard", "requests are being refused"),
            Pressed { soft: true, .. } => ("soft", "caches give back what they can"),
            _ if !is_known => ("unknown", "the guard does nothing"),
            _ => ("calm", "nothing has to be done"),
        };
        let mib = |bytes: Option<u64>| {
            bytes.map(|bytes| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20)))
        };
        let now = mib(used).map_or_else(
            || "what is in use is not known".to_owned(),
            |used| format!("{used} are in use"),
        );
        let limits = match (mib(soft), mib(hard)) {
            (None, None) => "the limit of the control group is not known".to_owned(),
            (soft, hard) => {
                let told = |limit: Option<String>| limit.unwrap_or_else(|| "not known".to_owned());
                format!(
                    "the soft limit is {} and the hard one {}",
                    told(soft),
                    told(hard)
                )
            }
        };
        Self {
            level,
            used_bytes: used,
            soft_limit_bytes: soft,
            hard_limit_bytes: hard,
            refused,
            soft_passed: pressed.soft_passed,
            hard_passed: pressed.hard_passed,
            detail: format!("{now}, {limits}: {does}"),
        }
    }
}

//! What operators have ordered for a while: of which rules nobody is told, and until when no cycle starts by itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Inner;

/// As it is now; moments in seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Orders {
    suppressed: BTreeMap<String, i64>,
    paused_until: Option<i64>,
}

impl Orders {
    pub(super) fn of(inner: &Inner) -> Self {
        let now = inner.observed.unix_s();
        Self {
            suppressed: inner.alerts.suppressed(now),
            paused_until: inner.cycles.paused_until(now),
        }
    }

    /// Takes over what was ordered of an earlier process, but for what was ordered of this one.
    pub(super) fn take_over(self, inner: &Inner) {
        let own = Self::of(inner);
        for (rule, until) in self.suppressed {
            if !own.suppressed.contains_key(&rule) {
                // A rule that this process does not have is not suppressed.
                inner.alerts.suppress(&rule, Some(until), false);
            }
        }
        if own.paused_until.is_none() {
            inner.cycles.pause(self.paused_until);
        }
    }
}

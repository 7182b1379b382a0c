//! What scenarios of all protocols have.

use super::{HttpPlan, Load, PlanError};
use crate::threshold::UsualTargets;

/// The plan of a protocol.
pub(crate) enum Protocol<'a> {
    Http(&'a HttpPlan),
    #[cfg(feature = "postgres")]
    Postgres(&'a crate::PostgresPlan),
    #[cfg(feature = "websocket")]
    WebSocket(&'a crate::WebSocketPlan),
}

impl Protocol<'_> {
    /// As the plan's field has it.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "postgres",
            #[cfg(feature = "websocket")]
            Self::WebSocket(_) => "websocket",
        }
    }

    pub(super) const fn load(&self) -> &Load {
        match self {
            Self::Http(plan) => &plan.load,
            #[cfg(feature = "postgres")]
            Self::Postgres(plan) => &plan.load,
            #[cfg(feature = "websocket")]
            Self::WebSocket(plan) => &plan.load,
        }
    }

    /// The names of its steps, where it can run.
    pub(super) fn check(&self) -> Result<Vec<String>, PlanError> {
        #[cfg(feature = "scripts")]
        {
            let script = match self {
                Self::Http(plan) => plan.checked()?.script,
                #[cfg(feature = "postgres")]
                Self::Postgres(plan) => plan.checked()?.script,
                #[cfg(feature = "websocket")]
                Self::WebSocket(plan) => plan.checked()?.script,
            };
            Ok(script.map_or_else(Vec::new, |script| script.names().to_vec()))
        }
        #[cfg(not(feature = "scripts"))]
        {
            match self {
                Self::Http(plan) => plan.check()?,
                #[cfg(feature = "postgres")]
                Self::Postgres(plan) => plan.check()?,
                #[cfg(feature = "websocket")]
                Self::WebSocket(plan) => plan.check()?,
            }
            Ok(Vec::new())
        }
    }

    /// What has to hold where nobody says otherwise.
    pub(super) const fn usual_targets(&self) -> UsualTargets {
        match self {
            Self::Http(_) => UsualTargets::HTTP,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => UsualTargets::DATABASE,
            #[cfg(feature = "websocket")]
            Self::WebSocket(_) => UsualTargets::WEBSOCKET,
        }
    }

    pub(super) const fn idle(&self) -> u32 {
        match self {
            #[cfg(feature = "websocket")]
            Self::WebSocket(plan) => plan.idle,
            _ => 0,
        }
    }

    pub(super) fn steps(&self) -> usize {
        match self {
            #[cfg(feature = "scripts")]
            Self::Http(plan) => plan.visits.all().count(),
            #[cfg(all(feature = "scripts", feature = "postgres"))]
            Self::Postgres(plan) => plan.visits.all().count(),
            #[cfg(all(feature = "scripts", feature = "websocket"))]
            Self::WebSocket(plan) => plan.visits.all().count(),
            #[cfg(not(feature = "scripts"))]
            _ => 0,
        }
    }
}

//! What scenarios of all protocols have.

use super::{HttpPlan, Load, PlanError};

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

    pub(super) fn check(&self) -> Result<(), PlanError> {
        match self {
            Self::Http(plan) => plan.check(),
            #[cfg(feature = "postgres")]
            Self::Postgres(plan) => plan.check(),
            #[cfg(feature = "websocket")]
            Self::WebSocket(plan) => plan.check(),
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
            Self::Http(plan) => counted(&plan.steps, &plan.flows),
            #[cfg(all(feature = "scripts", feature = "postgres"))]
            Self::Postgres(plan) => counted(&plan.steps, &plan.flows),
            #[cfg(all(feature = "scripts", feature = "websocket"))]
            Self::WebSocket(plan) => counted(&plan.steps, &plan.flows),
            #[cfg(not(feature = "scripts"))]
            _ => 0,
        }
    }
}

#[cfg(feature = "scripts")]
fn counted<S>(steps: &[S], flows: &[crate::Flow<S>]) -> usize {
    steps.len() + flows.iter().map(|flow| flow.steps.len()).sum::<usize>()
}

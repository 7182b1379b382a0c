//! What is sent and where to, of any protocol.

use std::time::{Duration, SystemTime};

use pitcrew_load::{
    HttpPlan, Open, PlanError, PostgresPlan, PostgresTarget, Report, Results, Run, Target,
    WebSocketPlan, start, start_postgres, start_websocket,
};

/// A plan with its target.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    Http(Target, HttpPlan),
    Postgres(PostgresTarget, PostgresPlan),
    WebSocket(Target, WebSocketPlan),
}

/// Runs of the program have one id: nothing else of it runs in this process.
const ID: &str = "command-line";

impl Work {
    /// Its name in a plan file.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Http(..) => "http",
            Self::Postgres(..) => "postgres",
            Self::WebSocket(..) => "websocket",
        }
    }

    pub(crate) fn check(&self) -> Result<(), PlanError> {
        match self {
            Self::Http(_, plan) => plan.check(),
            Self::Postgres(_, plan) => plan.check(),
            Self::WebSocket(_, plan) => plan.check(),
        }
    }

    /// An unreachable target is known within a second, and with the reason. PostgreSQL's is asked more when it is started.
    pub(crate) async fn reachable(&self) -> Result<(), String> {
        let (Self::Http(target, _) | Self::WebSocket(target, _)) = self else {
            return Ok(());
        };
        let limit = Duration::from_secs(1);
        let connecting = tokio::net::TcpStream::connect(target.address());
        match tokio::time::timeout(limit, connecting).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("cannot connect to {}: {error}", target.authority())),
            Err(_) => Err(format!(
                "{} does not take a connection within a second",
                target.authority()
            )),
        }
    }

    pub(crate) async fn start(&self) -> Result<Run, PlanError> {
        match self {
            Self::Http(target, plan) => start(ID, plan, target),
            Self::Postgres(target, plan) => start_postgres(ID, plan, target).await,
            Self::WebSocket(target, plan) => start_websocket(ID, plan, target),
        }
    }

    pub(crate) fn results(&self, began: SystemTime, report: Report) -> Results {
        match self {
            Self::Http(target, plan) => Results::new(target.authority(), plan, began, report),
            Self::Postgres(target, plan) => Results::new(&target.authority(), plan, began, report),
            Self::WebSocket(target, plan) => Results::new(target.authority(), plan, began, report),
        }
    }

    /// The same in an open model.
    pub(crate) fn with_open(&self, open: Open) -> Self {
        let mut work = self.clone();
        let load = match &mut work {
            Self::Http(_, plan) => &mut plan.load,
            Self::Postgres(_, plan) => &mut plan.load,
            Self::WebSocket(_, plan) => &mut plan.load,
        };
        *load = load.clone().with_open(open);
        work
    }

    /// How long it sends, in seconds.
    pub(crate) fn length_s(&self) -> f64 {
        match self {
            Self::Http(_, plan) => plan.load.length_s(),
            Self::Postgres(_, plan) => plan.load.length_s(),
            Self::WebSocket(_, plan) => plan.load.length_s(),
        }
    }
}

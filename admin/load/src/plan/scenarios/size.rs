//! How much a plan holds and takes.

use super::Plan;
use super::protocol::Protocol;

/// Of a recorder: four histograms of 184 KiB.
const RECORDER_BYTES: u64 = 4 * 184 * 1_024;
/// Of a thread besides: what it reads into, its stack as far as it is touched, its runtime.
const THREAD_BYTES: u64 = 256 * 1_024;
/// Of a connection: buffers of the system's socket are not counted.
const CONNECTION_BYTES: u64 = 16 * 1_024;
/// A second of a run, packed.
const SECOND_BYTES: u64 = 8 * 1_024;

impl Plan {
    /// About how much memory a run takes at most, in bytes: histograms of threads, steps and scenarios, connections, rows of data and the
    /// parts of bodies that steps look at.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
        let leaves = self.leaves();
        let of_all: u64 = leaves
            .iter()
            .flat_map(|(_, plan)| plan.protocols())
            .map(|protocol| memory_of(&protocol, cores))
            .sum();
        // The whole of several has recorders of its own.
        let whole = if leaves.len() > 1 { 3 } else { 0 };
        of_all + whole * RECORDER_BYTES + self.length_s() as u64 * SECOND_BYTES
    }
}

fn memory_of(protocol: &Protocol<'_>, cores: u64) -> u64 {
    let load = protocol.load();
    let connections = u64::from(load.connections_asked()) + u64::from(protocol.idle());
    let threads = cores.min(u64::from(load.connections_asked()));
    let steps = protocol.steps() as u64;
    let looked_at = if steps > 0 { MAX_LOOKED_AT } else { 0 };
    // Each thread's, and those that they are added up in.
    let recorders = (threads + 1) * (1 + steps) + 2;
    let seconds = load.length_s() as u64 * SECOND_BYTES;
    recorders * RECORDER_BYTES
        + threads * THREAD_BYTES
        + connections * (CONNECTION_BYTES + looked_at)
        + seconds
        // As text in the plan, and as cells.
        + 3 * protocol.row_bytes()
}

#[cfg(feature = "scripts")]
const MAX_LOOKED_AT: u64 = crate::script::MAX_KEPT_BYTES as u64;
#[cfg(not(feature = "scripts"))]
const MAX_LOOKED_AT: u64 = 0;

impl Protocol<'_> {
    /// The largest body, message or set of parameters that one request carries as the plan has it; values are not in it yet.
    pub(super) fn largest_body(&self) -> usize {
        match self {
            Self::Http(plan) => {
                let own = plan.body.as_deref().map_or(0, str::len);
                #[cfg(feature = "scripts")]
                let own = plan
                    .visits
                    .all()
                    .map(|step| step.body.as_deref().map_or(0, str::len))
                    .fold(own, usize::max);
                own
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(plan) => {
                let of = |sql: &str, parameters: &[Option<String>]| {
                    sql.len() + parameters.iter().flatten().map(String::len).sum::<usize>()
                };
                let own = of(&plan.sql, &plan.parameters);
                #[cfg(feature = "scripts")]
                let own = plan
                    .visits
                    .all()
                    .map(|step| of(&step.sql, &step.parameters))
                    .fold(own, usize::max);
                own
            }
            #[cfg(feature = "websocket")]
            Self::WebSocket(plan) => {
                let of = |message: &crate::WebSocketMessage| match message {
                    crate::WebSocketMessage::Text(text) => text.len(),
                    crate::WebSocketMessage::Hex(digits) => digits.len() / 2,
                };
                let own = of(&plan.message);
                #[cfg(feature = "scripts")]
                let own = plan
                    .visits
                    .all()
                    .filter_map(|step| step.send.as_ref())
                    .map(of)
                    .fold(own, usize::max);
                own
            }
        }
    }

    /// Bytes of its rows of data.
    fn row_bytes(&self) -> u64 {
        #[cfg(feature = "scripts")]
        {
            let data = match self {
                Self::Http(plan) => &plan.visits.data,
                #[cfg(feature = "postgres")]
                Self::Postgres(plan) => &plan.visits.data,
                #[cfg(feature = "websocket")]
                Self::WebSocket(plan) => &plan.visits.data,
            };
            data.values().map(crate::Source::bytes).sum()
        }
        #[cfg(not(feature = "scripts"))]
        0
    }
}

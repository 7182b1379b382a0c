//! What is kept: hit ratios on generated traces.

use pitcrew_stack::bench::{Figure, ROUNDS};
use pitcrew_stack::{Result, Stack};

use super::super::peers::Peers;

/// Columns that the program answers for each trace: ours, ours again, and these.
const POLICIES: [&str; 2] = ["moka", "TinyUFO"];

/// The names of its traces.
const TRACES: [&str; 2] = ["drift", "scans"];

pub(super) fn figures(peers: &Peers<'_>, _: &Stack) -> Result<Vec<Figure>> {
    let mut seeds = Vec::with_capacity(ROUNDS);
    for seed in 0..ROUNDS {
        seeds.push(peers.read(&["traces", &seed.to_string()])?);
    }
    let width = 2 + POLICIES.len();
    let column = |trace: usize, which: usize| -> Vec<f64> {
        let at = trace * width + which;
        seeds
            .iter()
            .map(|row| row.get(at).copied().unwrap_or(f64::NAN))
            .collect()
    };
    let mut figures = Vec::new();
    for (trace, name) in TRACES.iter().enumerate() {
        for (n, policy) in POLICIES.iter().enumerate() {
            let figure = format!("trace_{name}_hit_ratio_vs_{}", policy.to_lowercase());
            let ratio = Figure::ratio(
                &figure,
                &column(trace, 0),
                &column(trace, 1),
                &column(trace, 2 + n),
            );
            figures.push(ratio.against(policy, peers.version(policy)));
        }
    }
    // The worst of all: against the best policy on the trace that suits us least.
    let worst = figures
        .iter()
        .min_by(|a, b| a.value.total_cmp(&b.value))
        .cloned();
    figures.extend(worst.map(|figure| Figure {
        figure: "trace_hit_ratio_vs_best".into(),
        ..figure
    }));
    Ok(figures)
}

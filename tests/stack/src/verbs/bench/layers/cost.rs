//! What a layer adds to a request.

use pitcrew_stack::Result;
use pitcrew_stack::bench::{Figure, Interval, Reading, interval, rounds};

use super::super::peers::Peers;
use super::{Programs, skipped};

/// Shuffles the rounds, repeatably.
const SEED: u64 = 11;

/// Requests of a reading, on all its threads together.
const REQUESTS: usize = 200_000;

/// Peers on a router: as the program calls them, in a figure's name, and their crate.
const PEERS: [(&str, &str, &str); 4] = [
    ("hotpath", "hotpath", "hotpath"),
    ("axum-prometheus", "axum_prometheus", "axum-prometheus"),
    ("tower-http-trace", "tower_http_trace", "tower-http"),
    ("mutex-hdr", "mutex_hdr", "hdrhistogram"),
];

/// Instructions over a layer that does nothing, on a service that answers at once.
pub(super) fn instructions(programs: &Programs<'_>) -> Result<Vec<Figure>> {
    let count = |layer: &str| {
        let words = ["service", layer];
        programs.plain.instructions_inside("cost::counted", &words)
    };
    let (Some(noop), Some(again), Some(latency), Some(leaving_out)) = (
        count("noop")?,
        count("noop")?,
        count("latency")?,
        count("latency-leaving-out")?,
    ) else {
        skipped("latency_extra_instr", "valgrind is not installed");
        return Ok(Vec::new());
    };
    let figure = |name: &str, extra: f64| {
        let reading = Interval {
            value: extra,
            low: extra,
            high: extra,
        };
        let mut figure = Figure::own(name, "instructions", reading);
        figure.control = Some(again / noop);
        figure
    };
    Ok(vec![
        figure("latency_extra_instr", latency - noop),
        // What `leave_out_load_tests` adds to that where a request is of nobody's load test.
        figure("latency_leave_out_instr", leaving_out - latency),
    ])
}

/// CPU time that is added on a router, the same of a layer that does nothing taken away, over the peer's; on one thread and on four.
pub(super) fn cpu_time(programs: &Programs<'_>) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for threads in [1, 4] {
        figures.extend(on_threads(&programs.plain, threads, &PEERS, "")?);
        figures.extend(on_threads(
            &programs.counting,
            threads,
            &PEERS[..1],
            "_alloc",
        )?);
    }
    for name in ["hotpath", "axum_prometheus"] {
        let prefix = format!("latency_vs_{name}_t");
        let worse = figures
            .iter()
            .filter(|figure| figure.figure.starts_with(&prefix))
            .max_by(|a, b| a.value.total_cmp(&b.value))
            .cloned();
        figures.extend(worse.map(|figure| Figure {
            figure: format!("latency_vs_{name}"),
            ..figure
        }));
    }
    Ok(figures)
}

/// All of them in the same rounds, so that they share their noise.
fn on_threads(
    program: &Peers<'_>,
    threads: usize,
    peers: &[(&str, &str, &str)],
    suffix: &str,
) -> Result<Vec<Figure>> {
    let (on, each) = (threads.to_string(), (REQUESTS / threads).to_string());
    let reading = |layer: &str| -> Reading<'_, pitcrew_stack::Error> {
        let (layer, on, each) = (layer.to_owned(), on.clone(), each.clone());
        Box::new(move || program.number(&["router", &layer, &on, &each]))
    };
    // Ours twice: the second is the control.
    let mut measured = vec![reading("noop"), reading("latency"), reading("latency")];
    measured.extend(peers.iter().map(|(peer, ..)| reading(peer)));
    let columns = rounds(SEED, &mut measured)?;
    let added = |column: &[f64]| -> Vec<f64> {
        let pairs = column.iter().zip(&columns[0]);
        pairs.map(|(with, floor)| with - floor).collect()
    };
    let (ours, again) = (added(&columns[1]), added(&columns[2]));
    let mut figures = Vec::new();
    if suffix.is_empty() {
        let name = format!("latency_added_ns_t{threads}");
        figures.push(Figure::own(&name, "ns", interval(&ours)));
    }
    for ((_, name, krate), column) in peers.iter().zip(&columns[3..]) {
        let figure = format!("latency_vs_{name}{suffix}_t{threads}");
        let figure = Figure::ratio(&figure, &ours, &again, &added(column));
        figures.push(figure.against(krate, program.version(krate)));
    }
    Ok(figures)
}

//! Hits and misses inside one process.

use pitcrew_stack::bench::{Figure, ROUNDS, Reading, interval, rounds};
use pitcrew_stack::{Error, Result, Stack};

use super::super::peers::Peers;
use super::skipped;

/// The map that knows no HTTP rule.
const FLOOR: &str = "quick_cache";

/// Caches that are layers, or made one: what they are called on the command line is the crate's name.
const PEERS: [&str; 5] = [
    FLOOR,
    "axum-response-cache",
    "tower-http-cache",
    "http-cache-tower-server",
    "amalgam-cache",
];

/// Hits of a reading, over all threads.
const HITS: usize = 100_000;

/// Cold misses at once.
const MISSES: usize = 200;

/// Uncacheable requests at once.
const UNCACHEABLE: usize = 20;

fn underscored(peer: &str) -> String {
    peer.replace('-', "_")
}

/// Instructions of a hit, from the call to the end of the body: what making the request costs is taken away.
pub(super) fn instructions(peers: &Peers<'_>, _: &Stack) -> Result<Vec<Figure>> {
    if peers.instructions(&["requests"])?.is_none() {
        skipped("hit_instr_vs_floor", "valgrind is not installed");
        return Ok(Vec::new());
    }
    let count =
        |words: &[&str]| -> Result<f64> { Ok(peers.instructions(words)?.unwrap_or(f64::NAN)) };
    let hit = |name: &'static str| -> Reading<'_, Error> {
        Box::new(move || count(&["hits", name, "1"]))
    };
    let requests: Reading<'_, Error> = Box::new(|| count(&["requests"]));
    let mut read = rounds(
        1,
        &mut [requests, hit("pitcrew"), hit("pitcrew"), hit(FLOOR)],
    )?;
    let made = read.remove(0);
    for column in &mut read {
        for (hit, made) in column.iter_mut().zip(&made) {
            *hit -= made;
        }
    }
    let version = peers.version(FLOOR);
    Ok(vec![
        Figure::ratio("hit_instr_vs_floor", &read[0], &read[1], &read[2]).against(FLOOR, version),
        Figure::own("hit_instr", "instructions", interval(&read[0])),
        Figure::own(
            "hit_instr_of_quick_cache",
            "instructions",
            interval(&read[2]),
        )
        .against(FLOOR, version),
    ])
}

/// CPU time that a hit adds to the same service without a cache.
pub(super) fn cpu_time(peers: &Peers<'_>, _: &Stack) -> Result<Vec<Figure>> {
    let mut obey = Vec::new();
    for peer in PEERS {
        if peers.number(&["vary", peer])? > 0.0 {
            obey.push(peer);
        } else {
            skipped(
                &format!("hit_vs_best_vary_peer against {peer}"),
                "it gives one language's answer to who asks for another",
            );
        }
    }
    let mut figures = Vec::new();
    for threads in [1, 4] {
        let (threads_word, hits) = (threads.to_string(), (HITS / threads).to_string());
        let reading = |name: &'static str| -> Reading<'_, Error> {
            let (threads, hits) = (&threads_word, &hits);
            Box::new(move || peers.number(&["hits", name, threads, hits]))
        };
        let mut measured = vec![reading("none"), reading("pitcrew"), reading("pitcrew")];
        measured.extend(PEERS.map(reading));
        let read = rounds(2, &mut measured)?;
        let added = |column: usize| -> Vec<f64> {
            let pairs = read[column].iter().zip(&read[0]);
            pairs.map(|(with, without)| with - without).collect()
        };
        let ours = added(1);
        figures.push(Figure::own(
            &format!("hit_added_ns_t{threads}"),
            "ns",
            interval(&ours),
        ));
        for (n, peer) in PEERS.iter().enumerate() {
            let name = format!("hit_added_ns_t{threads}_of_{}", underscored(peer));
            let figure = Figure::own(&name, "ns", interval(&added(3 + n)));
            figures.push(figure.against(peer, peers.version(peer)));
        }
        // The one with the least among those that obey; four threads, as an app has them.
        let best = (0..PEERS.len())
            .filter(|n| threads == 4 && obey.contains(&PEERS[*n]))
            .min_by(|a, b| {
                let cost = |n: &usize| interval(&added(3 + n)).value;
                cost(a).total_cmp(&cost(b))
            });
        if let Some(n) = best {
            let figure = Figure::ratio("hit_vs_best_vary_peer", &ours, &added(2), &added(3 + n));
            figures.push(figure.against(PEERS[n], peers.version(PEERS[n])));
        }
    }
    Ok(figures)
}

/// Calls of the handler for cold misses at once, and the time of requests at once whose answers may not be stored.
pub(super) fn at_once(peers: &Peers<'_>, _: &Stack) -> Result<Vec<Figure>> {
    let (misses, uncacheable) = (MISSES.to_string(), UNCACHEABLE.to_string());
    let mut names = vec!["pitcrew"];
    names.extend(PEERS);
    let collapsed = |name: &'static str| -> Reading<'_, Error> {
        let misses = &misses;
        Box::new(move || peers.number(&["collapsed", name, misses]))
    };
    let calls = rounds(
        3,
        &mut names.iter().map(|name| collapsed(name)).collect::<Vec<_>>(),
    )?;
    let mut figures = Vec::new();
    let push = |figures: &mut Vec<Figure>, figure: &str, unit: &str, peer: &str, read: &[f64]| {
        figures.push(if peer == "pitcrew" {
            Figure::own(figure, unit, interval(read))
        } else {
            let name = format!("{figure}_of_{}", underscored(peer));
            Figure::own(&name, unit, interval(read)).against(peer, peers.version(peer))
        });
    };
    for (peer, calls) in names.iter().zip(&calls) {
        push(&mut figures, "misses_collapsed", "calls", peer, calls);
    }
    for peer in names {
        let both = (0..ROUNDS)
            .map(|_| peers.read(&["uncacheable", peer, &uncacheable]))
            .collect::<Result<Vec<_>>>()?;
        if both.iter().flatten().any(|ms| ms.is_nan()) {
            skipped(
                &format!("uncacheable_known_ms, uncacheable_cold_ms of {peer}"),
                "it shares an answer under no-store",
            );
            continue;
        }
        for (which, figure) in ["uncacheable_cold_ms", "uncacheable_known_ms"]
            .into_iter()
            .enumerate()
        {
            let read: Vec<f64> = both
                .iter()
                .filter_map(|both| both.get(which).copied())
                .collect();
            push(&mut figures, figure, "ms", peer, &read);
        }
    }
    Ok(figures)
}

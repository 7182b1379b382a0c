//! What caches cost beside ours.

mod amalgam;
mod contenders;
mod floor;
mod handler;
mod hits;
mod l2;
mod misses;
mod over_http;
mod traces;

#[path = "../../measured.rs"]
mod measured;

use std::process::ExitCode;

const USAGE: &str = "usage: peers requests COUNT | hits CACHE THREADS COUNT | collapsed CACHE COUNT | \
    uncacheable CACHE COUNT | vary CACHE | l2-gets URL COUNT | raw-gets URL COUNT | purges URL KEYS READINGS | \
    round-trips URL READINGS | traces SEED | origin ADDRESS | load ADDRESS COUNT";

fn main() -> ExitCode {
    measured::main(USAGE, measure)
}

fn measure(words: &[&str]) -> Option<Vec<f64>> {
    let number = |word: &str| word.parse::<usize>().ok();
    Some(match *words {
        ["requests", count] => {
            hits::requests(number(count)?);
            Vec::new()
        }
        ["hits", name, threads, count] => vec![hits::hits(name, number(threads)?, number(count)?)?],
        ["collapsed", name, count] => vec![misses::collapsed(name, number(count)?)?],
        ["uncacheable", name, count] => misses::uncacheable(name, number(count)?)?.to_vec(),
        ["vary", name] => vec![misses::vary(name)?],
        ["l2-gets", url, count] => vec![l2::gets(url, number(count)?)],
        ["raw-gets", url, count] => vec![l2::raw_gets(url, number(count)?)],
        ["purges", url, keys, readings] => l2::purges(url, number(keys)?, number(readings)?),
        ["round-trips", url, readings] => l2::round_trips(url, number(readings)?),
        ["traces", seed] => traces::hit_ratios(number(seed)? as u64).concat(),
        ["origin", address] => {
            over_http::origin(address);
            Vec::new()
        }
        ["load", address, count] => vec![over_http::load(address, number(count)?)],
        _ => return None,
    })
}

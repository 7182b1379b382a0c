//! The load tester and its peers, and servers for them.

mod limited;
mod ours;
mod queue;
mod server;
mod websocket;

#[path = "../../measured.rs"]
mod measured;

use std::process::ExitCode;

use server::Served;

const USAGE: &str = "usage: load-peers serve [PER_S STALL_AT_S STALL_S] | truth RATE SECONDS PER_S STALL_AT_S STALL_S | \
                     serve-bucket PER_S BURST | serve-crowded BASE_MS PER_S | capacity ADDRESS THRESHOLD SECONDS | \
                     open ADDRESS RATE SECONDS | closed ADDRESS CONNECTIONS SECONDS | \
                     postgres prepared|pipelined URL CONNECTIONS SECONDS | postgres-rate URL RATE SECONDS | \
                     echo | idle ADDRESS CONNECTIONS SECONDS | websocket ours|tokio-tungstenite|fastwebsockets|tokio-websockets ADDRESS CONNECTIONS SECONDS";

fn main() -> ExitCode {
    measured::main(USAGE, measure)
}

fn measure(words: &[&str]) -> Option<Vec<f64>> {
    let number = |word: &str| word.parse::<f64>().ok();
    let queue = |per_s: &str, at: &str, long: &str| {
        Some(queue::Rules {
            gap_s: 1.0 / number(per_s)?,
            stall_begin_s: number(at)?,
            stall_end_s: number(at)? + number(long)?,
        })
    };
    Some(match *words {
        ["serve"] => server::serve_by(|_| Served::at_once()),
        ["serve", per_s, at, long] => {
            let mut queue = queue::Queue::new(queue(per_s, at, long)?);
            server::serve_by(move |now| Served::at(queue.answered(now)))
        }
        ["truth", rate, seconds, per_s, at, long] => {
            queue::truth(number(rate)?, number(seconds)?, &queue(per_s, at, long)?)
        }
        ["serve-bucket", per_s, burst] => {
            server::serve_by(limited::bucket(number(per_s)?, number(burst)?))
        }
        ["serve-crowded", base_ms, per_s] => {
            server::serve_by(limited::crowded(number(base_ms)? / 1e3, number(per_s)?))
        }
        ["capacity", address, threshold, seconds] => {
            ours::capacity(address, threshold, number(seconds)?)?
        }
        ["idle", address, idle, seconds] => {
            ours::idle(address, idle.parse().ok()?, number(seconds)?)
        }
        ["open", address, rate, seconds] => ours::open(address, number(rate)?, number(seconds)?),
        ["closed", address, connections, seconds] => {
            ours::closed(address, connections.parse().ok()?, number(seconds)?)
        }
        ["postgres", mode, url, connections, seconds] => {
            ours::postgres(mode, url, connections.parse().ok()?, number(seconds)?)?
        }
        ["postgres-rate", url, rate, seconds] => {
            ours::postgres_rate(url, number(rate)?, number(seconds)?)
        }
        ["echo"] => websocket::serve(),
        ["websocket", "ours", address, connections, seconds] => {
            ours::websocket(address, connections.parse().ok()?, number(seconds)?)
        }
        ["websocket", peer, address, connections, seconds] => {
            websocket::by(peer, address, connections.parse().ok()?, number(seconds)?)?
        }
        _ => return None,
    })
}

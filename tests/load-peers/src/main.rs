//! The load tester and its peers, and servers for them.

mod ours;
mod queue;
mod server;
mod websocket;

#[path = "../../measured.rs"]
mod measured;

use std::process::ExitCode;

const USAGE: &str = "usage: load-peers serve [PER_S STALL_AT_S STALL_S] | truth RATE SECONDS PER_S STALL_AT_S STALL_S | \
                     open ADDRESS RATE SECONDS | closed ADDRESS CONNECTIONS SECONDS | \
                     postgres prepared|pipelined URL CONNECTIONS SECONDS | postgres-rate URL RATE SECONDS | \
                     echo | websocket ours|tokio-tungstenite|fastwebsockets|tokio-websockets ADDRESS CONNECTIONS SECONDS";

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
        ["serve"] => server::serve(None),
        ["serve", per_s, at, long] => server::serve(Some(queue(per_s, at, long)?)),
        ["truth", rate, seconds, per_s, at, long] => {
            queue::truth(number(rate)?, number(seconds)?, &queue(per_s, at, long)?)
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

//! The load tester itself.

use pitcrew_load::{HttpPlan, Open, Report, Spacing, Stage, Target, start};

fn run(address: &str, plan: &HttpPlan) -> Report {
    let target = Target::resolve(&format!("http://{address}")).expect("an address");
    let run = start("bench", plan, &target).expect("a plan that can be");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(run.finished()).clone()
}

/// Requests a second, CPU seconds of the whole process, resident memory in MiB, requests.
pub(crate) fn closed(address: &str, connections: u32, seconds: f64) -> Vec<f64> {
    let report = run(
        address,
        &HttpPlan {
            connections: Some(connections),
            duration_s: Some(seconds),
            ..HttpPlan::default()
        },
    );
    let (cpu, rss) = usage();
    vec![report.rate_per_s, cpu, rss, report.requests as f64]
}

/// Of arrivals that were due the share that was sent, in per cent; 95th, 99th and 99.9th percentile of responses in
/// milliseconds; median of the lag in microseconds; whether the run was limited by the tester.
pub(crate) fn open(address: &str, rate_per_s: f64, duration_s: f64) -> Vec<f64> {
    let report = run(
        address,
        &HttpPlan {
            open: Some(Open {
                stages: vec![Stage {
                    duration_s,
                    rate_per_s,
                    to_rate_per_s: None,
                }],
                spacing: Spacing::Even,
                seed: 0,
            }),
            ..HttpPlan::default()
        },
    );
    let sent = (report.due - report.missed) as f64;
    vec![
        100.0 * sent / (rate_per_s * duration_s),
        report.response.p95_ms,
        report.response.p99_ms,
        report.response.p999_ms,
        report.lag.p50_ms * 1e3,
        f64::from(u8::from(report.generator_limited.is_some())),
    ]
}

fn usage() -> (f64, f64) {
    // SAFETY: getrusage fills the struct.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    (
        seconds(usage.ru_utime) + seconds(usage.ru_stime),
        usage.ru_maxrss as f64 / 1024.0,
    )
}

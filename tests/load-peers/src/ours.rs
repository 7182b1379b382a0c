//! The load tester itself.

use pitcrew_load::{
    Capacity, CapacityPlan, HttpPlan, Load, Open, PostgresMode, PostgresPlan, PostgresTarget,
    Probing, Report, Run, Search, Spacing, Stage, Target, Threshold, WebSocketMessage,
    WebSocketPlan, start, start_postgres, start_websocket,
};

fn run(address: &str, plan: &HttpPlan) -> Report {
    let target = Target::resolve(&format!("http://{address}")).expect("an address");
    finished(async { start("bench", plan, &target).expect("a plan that can be") })
}

fn finished(started: impl Future<Output = Run>) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async { started.await.finished().await.clone() })
}

/// Executions a second, CPU seconds of the whole process, resident memory in MiB, executions.
pub(crate) fn postgres(mode: &str, url: &str, connections: u32, seconds: f64) -> Option<Vec<f64>> {
    let plan = PostgresPlan {
        mode: match mode {
            "prepared" => PostgresMode::Prepared,
            "pipelined" => PostgresMode::Pipelined,
            _ => return None,
        },
        load: Load {
            connections: Some(connections),
            duration_s: Some(seconds),
            ..Load::default()
        },
        ..PostgresPlan::default()
    };
    let target = PostgresTarget::local(url).expect("a URL");
    let report = finished(async {
        let run = start_postgres("bench", &plan, &target).await;
        run.expect("a plan that can be")
    });
    Some(told(&report))
}

/// Executions that were due and those that were sent, mean and 99th percentile of the lag in milliseconds, executions that
/// were never sent.
pub(crate) fn postgres_rate(url: &str, rate_per_s: f64, duration_s: f64) -> Vec<f64> {
    let plan = PostgresPlan {
        load: Load {
            connections: Some(16),
            open: Some(evenly(rate_per_s, duration_s)),
            ..Load::default()
        },
        ..PostgresPlan::default()
    };
    let target = PostgresTarget::local(url).expect("a URL");
    let report = finished(async {
        let run = start_postgres("bench", &plan, &target).await;
        run.expect("a plan that can be")
    });
    vec![
        report.due as f64,
        (report.due - report.missed) as f64,
        report.lag.mean_ms,
        report.lag.p99_ms,
        report.missed as f64,
    ]
}

/// Messages a second, CPU seconds of the whole process, resident memory in MiB, messages.
pub(crate) fn websocket(address: &str, connections: u32, seconds: f64) -> Vec<f64> {
    let plan = WebSocketPlan {
        message: WebSocketMessage::Text(crate::websocket::MESSAGE.to_owned()),
        load: Load {
            connections: Some(connections),
            duration_s: Some(seconds),
            ..Load::default()
        },
        ..WebSocketPlan::default()
    };
    let target = Target::resolve(&format!("ws://{address}")).expect("an address");
    let report =
        finished(async { start_websocket("bench", &plan, &target).expect("a plan that can be") });
    told(&report)
}

fn told(report: &Report) -> Vec<f64> {
    assert_eq!(report.requests, report.ok, "{:?}", report.errors);
    let (cpu, rss) = usage();
    vec![report.rate_per_s, cpu, rss, report.requests as f64]
}

fn evenly(rate_per_s: f64, duration_s: f64) -> Open {
    Open {
        stages: vec![Stage {
            duration_s,
            rate_per_s,
            to_rate_per_s: None,
        }],
        spacing: Spacing::Even,
        seed: 0,
    }
}

/// Requests a second, CPU seconds of the whole process, resident memory in MiB, requests.
pub(crate) fn closed(address: &str, connections: u32, seconds: f64) -> Vec<f64> {
    let report = run(
        address,
        &HttpPlan {
            load: Load {
                connections: Some(connections),
                duration_s: Some(seconds),
                ..Load::default()
            },
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
            load: Load {
                open: Some(evenly(rate_per_s, duration_s)),
                ..Load::default()
            },
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

/// The interval that a capacity search states, in requests a second, and how many probes it took. Nothing where it states none.
pub(crate) fn capacity(address: &str, threshold: &str, seconds: f64) -> Option<Vec<f64>> {
    let target = Target::resolve(&format!("http://{address}")).expect("an address");
    let threshold: Threshold = threshold.parse().ok()?;
    let probing = Probing {
        start: async |open| {
            let plan = HttpPlan {
                load: Load {
                    open: Some(open),
                    ..Load::default()
                },
                ..HttpPlan::default()
            };
            start("capacity", &plan, &target)
        },
        thresholds: &[threshold],
        duration_s: seconds,
        spacing: Spacing::Even,
    };
    let mut search = Search::new(CapacityPlan {
        from_per_s: 700.0,
        ..CapacityPlan::default()
    })
    .expect("a plan that can be");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    while let Some(rate) = search.next_rate() {
        let (outcome, report) = runtime
            .block_on(probing.at(rate))
            .expect("a plan that can be");
        eprintln!(
            "{rate:.0}/s {outcome:?}: p95 {:.1} ms, errors {:.2} %, lag p99 {:.2} ms",
            report.response.p95_ms, report.error_percent, report.lag.p99_ms
        );
        search.take(outcome);
    }
    let probes = search.probes().len() as f64;
    match search.end()? {
        Capacity::Found {
            low_per_s,
            high_per_s,
        } => Some(vec![*low_per_s, *high_per_s, probes]),
        Capacity::NotMeasurable { because } => {
            eprintln!("not measurable: {because}");
            Some(Vec::new())
        }
    }
}

/// So many WebSocket connections held without a message, for so long beside one that speaks: how many were there at the end, how
/// many were lost or refused, CPU seconds and resident memory in MiB of the whole process.
pub(crate) fn idle(address: &str, idle: u32, seconds: f64) -> Vec<f64> {
    let plan = WebSocketPlan {
        idle,
        load: Load {
            connections: Some(1),
            duration_s: Some(seconds),
            ..Load::default()
        },
        ..WebSocketPlan::default()
    };
    let target = Target::resolve(&format!("ws://{address}")).expect("an address");
    let report =
        finished(async { start_websocket("bench", &plan, &target).expect("a plan that can be") });
    let (cpu, rss) = usage();
    let details = &report.connections;
    let lost = details.dropped + details.refused;
    vec![
        // One of them is the one that speaks.
        details.connected as f64 - 1.0 - lost as f64,
        lost as f64,
        cpu,
        rss,
    ]
}

pub(crate) fn usage() -> (f64, f64) {
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

//! Every form of the results, of runs that are made up of seeded times.

mod forms;
mod json;
mod merge;

use std::time::{Duration, Instant, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::results::Results;
use super::{Ended, Report};
use crate::record::{Answer, ErrorKind, Recorder, Sample};
use crate::series::Series;

/// Requests of a minute, 0 to 59,999 ms: due then, and answered so much later.
fn samples(count: u64) -> Vec<(u64, u64, u64)> {
    let mut random = StdRng::seed_from_u64(count);
    let mut all: Vec<_> = (0..count)
        .map(|_| {
            let service = 200 + (1.0 / random.random_range(1e-4..1.0)) as u64 * 50;
            (
                random.random_range(0..60_000),
                service,
                random.random_range(0..400),
            )
        })
        .collect();
    all.sort_unstable();
    all
}

/// What a run of these finds, as its threads would record it. About one in fifty fails.
fn report(samples: &[(u64, u64, u64)]) -> Report {
    let begin = Instant::now();
    let mut series = Series::new();
    let mut recorder = Recorder::new();
    let mut handed_in_ms = 0;
    for (ms, service_us, lag_us) in samples {
        // Ten times a second, as threads do.
        if *ms >= handed_in_ms + 100 {
            handed_in_ms = *ms;
            series.take(&recorder, Duration::from_millis(*ms), 0);
            recorder.clear();
        }
        let intended = begin + Duration::from_millis(*ms);
        let sent = intended + Duration::from_micros(*lag_us);
        let outcome = match lag_us % 100 {
            7 => Err(ErrorKind::Timeout),
            57 => Ok(503),
            _ => Ok(200),
        };
        let sample = Sample {
            intended,
            lag: Some(Duration::from_micros(*lag_us)),
            sent,
            ended: sent + Duration::from_micros(*service_us),
            outcome: outcome.map(|status| Answer {
                status: Some(status),
                body_bytes: 10,
            }),
        };
        recorder.record(&sample, true);
    }
    series.take(&recorder, Duration::from_secs(60), 0);
    series.end(Duration::from_secs(60));
    Report::new(
        &series.total,
        &Ended {
            model: crate::Model::Open,
            is_cancelled: false,
            elapsed: Duration::from_secs(60),
            rate_over: Duration::from_secs(60),
            due: samples.len() as u64 + 3,
            unfinished: 1,
            unfinished_follow_ups: 0,
            steps: Vec::new(),
            cpu: Duration::from_millis(125),
            intervals: series.intervals.clone(),
            observed_dropped: 0,
        },
    )
}

fn results(report: Report) -> Results {
    let plan = serde_json::json!({
        "path": "/<script>alert(1)</script>",
        "headers": {"x-y": "\"><img src=x onerror=alert(1)>", "authorization": "Bearer abc"},
    });
    let began = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    let mut results = Results::new("127.0.0.1:3000", &plan, began, report);
    results.thresholds = ["p95 < 500ms", "error_rate < 1% over 10s", "rate >= 1/s"]
        .iter()
        .map(|text| text.parse().expect("a threshold"))
        .collect();
    results
}

fn some() -> Results {
    results(report(&samples(1_000)))
}

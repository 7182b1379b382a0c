use std::time::Duration;

use super::*;

fn alerts(sinks: Vec<Arc<dyn AlertSink>>) -> Alerts {
    let rule = AlertRule::above("cpu", "cpu_percent", 70.0);
    Alerts::new(
        vec![rule.ends_at(60.0).lasting(Duration::from_secs(10))],
        sinks,
    )
}

fn look(alerts: &Alerts, now: i64, cpu: f32) -> Vec<&'static str> {
    let mut sample = [f32::NAN; METRICS.len()];
    sample[place("cpu_percent").expect("there")] = cpu;
    alerts
        .look(now, &sample)
        .iter()
        .map(|alert| alert.state)
        .collect()
}

fn state(alerts: &Alerts) -> &'static str {
    alerts.standing(0)[0].state
}

#[test]
fn a_rule_is_pending_then_fires_and_ends_only_past_its_other_threshold() {
    let alerts = alerts(Vec::new());
    assert_eq!(
        (look(&alerts, 0, 71.0), state(&alerts)),
        (vec![], "pending")
    );
    assert_eq!(
        (look(&alerts, 5, 70.0), state(&alerts)),
        (vec![], "quiet"),
        "it did not last"
    );
    assert_eq!(look(&alerts, 6, 71.0), Vec::<&str>::new());
    assert_eq!(look(&alerts, 15, 99.0), Vec::<&str>::new());
    assert_eq!(
        (look(&alerts, 16, 99.0), state(&alerts)),
        (vec!["firing"], "firing")
    );
    assert_eq!(
        look(&alerts, 17, 99.0),
        Vec::<&str>::new(),
        "it is told once"
    );
    assert_eq!(look(&alerts, 18, 65.0), Vec::<&str>::new(), "not yet well");
    assert_eq!(
        (look(&alerts, 19, f32::NAN), state(&alerts)),
        (vec![], "firing"),
        "not known"
    );
    assert_eq!(
        (look(&alerts, 20, 60.0), state(&alerts)),
        (vec!["resolved"], "quiet")
    );
    let (kept, is_more) = alerts.page(None, 10);
    assert_eq!((kept.len(), is_more), (2, false));
    assert_eq!(
        kept[1].sentence,
        "cpu fires: cpu_percent is 99 %, at most 70 % wanted"
    );
}

#[test]
fn a_suppressed_rule_tells_nobody_and_a_panicking_sink_stops_no_other() {
    let told = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&told);
    let count = move |_: &Alert| {
        counter.fetch_add(1, Ordering::Relaxed);
    };
    let alerts = alerts(vec![
        Arc::new(|_: &Alert| panic!("a sink's fault")),
        Arc::new(count),
    ]);
    assert!(!alerts.suppress("none", Some(100), false));
    assert!(alerts.suppress("cpu", Some(100), false));
    look(&alerts, 0, 99.0);
    assert_eq!(
        (look(&alerts, 10, 99.0), state(&alerts)),
        (vec![], "firing")
    );
    assert!(alerts.suppress("cpu", None, false));
    assert!(alerts.test("none", 20, false).is_none());
    alerts.test("cpu", 20, true).expect("a rule");
    assert_eq!(told.load(Ordering::Relaxed), 0);
    alerts.test("cpu", 20, false).expect("a rule");
    assert_eq!((told.load(Ordering::Relaxed), alerts.lost().1), (1, 1));
}

#[test]
fn when_nobody_was_told_of_it_is_told_once_the_suppression_ends_if_it_is_still_so() {
    let nothing = Vec::<&str>::new();
    let alerts = alerts(Vec::new());
    // It fires while it is suppressed, and fires on.
    alerts.suppress("cpu", Some(100), false);
    look(&alerts, 0, 99.0);
    assert_eq!(
        (look(&alerts, 99, 99.0), state(&alerts)),
        (vec![], "firing")
    );
    assert_eq!(look(&alerts, 100, f32::NAN), nothing);
    assert_eq!(look(&alerts, 101, 99.0), ["firing"]);
    assert_eq!(look(&alerts, 102, 99.0), nothing);
    // It ends while it is suppressed: whoever knows that it fired has to know that too.
    alerts.suppress("cpu", Some(200), false);
    assert_eq!(look(&alerts, 150, 10.0), nothing);
    assert_eq!(look(&alerts, 200, 10.0), ["resolved"]);
    // It came and went meanwhile: nobody ever knew.
    alerts.suppress("cpu", Some(300), false);
    look(&alerts, 210, 99.0);
    assert_eq!(
        (look(&alerts, 230, 99.0), state(&alerts)),
        (vec![], "firing")
    );
    look(&alerts, 290, 10.0);
    assert_eq!(
        (look(&alerts, 301, 10.0), state(&alerts)),
        (vec![], "quiet")
    );
}

#[test]
fn what_is_kept_is_bounded_and_counted() {
    let alerts = alerts(Vec::new());
    for now in 0..600 {
        alerts.test("cpu", now, false);
    }
    assert_eq!(alerts.lost().0, 100);
    assert_eq!(alerts.page(None, 1_000).0.len(), KEPT);
}

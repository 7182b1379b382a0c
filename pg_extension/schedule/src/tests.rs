//! Rules, windows and turns at moments that the tests choose.

#![allow(
    clippy::needless_pass_by_value,
    reason = "a `json!` is written where it is used"
)]

use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn plan(rule: &str, zone: &str, window: serde_json::Value) -> Plan {
    Plan::parse(
        "nightly",
        rule,
        zone,
        &window,
        0,
        at("2026-01-01T00:00:00Z"),
    )
    .unwrap()
}

fn runs(plan: &Plan, from: &str, count: usize) -> Vec<String> {
    let mut now = at(from);
    (0..count)
        .map(|_| {
            now = plan.next(now).unwrap();
            now.to_string()
        })
        .collect()
}

fn refused(rule: &str, zone: &str, window: serde_json::Value, jitter_s: i64) -> Problem {
    Plan::parse(
        "n",
        rule,
        zone,
        &window,
        jitter_s,
        at("2026-01-01T00:00:00Z"),
    )
    .unwrap_err()
}

#[test]
fn cron_is_read_in_its_time_zone() {
    let nightly = plan("30 2 * * *", "Europe/Berlin", json!(null));
    assert_eq!(
        runs(&nightly, "2026-01-10T00:00:00Z", 2),
        ["2026-01-10T01:30:00Z", "2026-01-11T01:30:00Z"]
    );
    assert_eq!(
        runs(&nightly, "2026-07-10T00:00:00Z", 1),
        ["2026-07-10T00:30:00Z"]
    );
    // As a session shows its zone after SET TIME ZONE 5.
    assert_eq!(
        runs(
            &plan("30 2 * * *", "<+05>-05", json!(null)),
            "2026-01-10T00:00:00Z",
            1
        ),
        ["2026-01-10T21:30:00Z"]
    );
    let seconds = plan("*/20 * * * * *", "UTC", json!(null));
    assert_eq!(
        runs(&seconds, "2026-01-10T00:00:00.5Z", 2),
        ["2026-01-10T00:00:20Z", "2026-01-10T00:00:40Z"]
    );
    assert_eq!(
        runs(
            &plan("@daily", "UTC", json!(null)),
            "2026-01-10T00:00:00Z",
            1
        ),
        ["2026-01-11T00:00:00Z"]
    );
}

#[test]
fn a_daily_time_runs_once_a_day_when_the_clock_changes() {
    // Skipped on 29 March 2026, when 02:00 becomes 03:00; repeated on 25 October.
    let nightly = plan("30 2 * * *", "Europe/Berlin", json!(null));
    assert_eq!(
        runs(&nightly, "2026-03-28T12:00:00Z", 2),
        ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    );
    let autumn = runs(&nightly, "2026-10-24T12:00:00Z", 2);
    assert_eq!(autumn, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    // What goes by the clock's hands follows them: each hour there is.
    let hourly = plan("0 * * * *", "Europe/Berlin", json!(null));
    assert_eq!(
        runs(&hourly, "2026-10-24T23:30:00Z", 3),
        [
            "2026-10-25T00:00:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T02:00:00Z"
        ]
    );
}

#[test]
fn what_is_skipped_for_long_is_gone_over() {
    // Samoa had no 30 December 2011: the clock went from the end of the 29th to the begin of the 31st.
    let from = "2011-12-28T23:00:00Z";
    for (rule, wanted) in [
        (
            "30 2 * * *",
            [
                "2011-12-29T12:30:00Z",
                "2011-12-30T12:30:00Z",
                "2011-12-31T12:30:00Z",
            ],
        ),
        (
            "@daily",
            [
                "2011-12-29T10:00:00Z",
                "2011-12-30T10:00:00Z",
                "2011-12-31T10:00:00Z",
            ],
        ),
        (
            "0 12 * * *",
            [
                "2011-12-29T22:00:00Z",
                "2011-12-30T22:00:00Z",
                "2011-12-31T22:00:00Z",
            ],
        ),
        // What is due on that date alone is due in other years.
        (
            "0 12 30 12 *",
            [
                "2012-12-29T22:00:00Z",
                "2013-12-29T22:00:00Z",
                "2014-12-29T22:00:00Z",
            ],
        ),
    ] {
        let plan = plan(rule, "Pacific/Apia", json!(null));
        assert_eq!(runs(&plan, from, 3), wanted, "{rule}");
    }
    // Three hours of a day that goes on: right after them, once. 02:00 became 05:00 at Casey.
    for rule in ["0 2 * * *", "15 2 * * *", "30 4 * * *"] {
        let plan = plan(rule, "Antarctica/Casey", json!(null));
        let runs = runs(&plan, "2009-10-17T17:59:00Z", 2);
        assert_eq!(runs[0], "2009-10-17T18:00:00Z", "{rule}");
        assert!(runs[1].starts_with("2009-10-18T1"), "{rule}: {runs:?}");
    }
    let plan = plan("30 1 * * *", "Antarctica/Casey", json!(null));
    assert_eq!(
        runs(&plan, "2009-10-17T17:59:00Z", 1),
        ["2009-10-18T14:30:00Z"]
    );
}

#[test]
fn no_zone_skips_so_much_that_a_rule_ends() {
    let mut looked_at = 0;
    for name in jiff::tz::db().available() {
        let zone = TimeZone::get(name.as_str()).unwrap();
        for gap in crate::gap::long(&zone, Timestamp::MIN) {
            looked_at += 1;
            let day = jiff::SignedDuration::from_hours(24);
            let from = gap.change.checked_sub(day).unwrap();
            for rule in ["@daily", "30 2 * * *", "59 23 * * *", "0 */6 * * *"] {
                let plan = plan(rule, name.as_str(), json!(null));
                let mut now = from;
                for _ in 0..12 {
                    let next = plan.next(now);
                    let next = next.unwrap_or_else(|| panic!("{name}: {rule} ends at {now}"));
                    // What is due each day comes within two, also where one of them is left out.
                    assert!(
                        now < next && next.duration_since(now) <= day * 2,
                        "{name}: {rule}: {now}, then {next}"
                    );
                    now = next;
                }
            }
        }
    }
    assert!(looked_at > 3, "{looked_at}");
}

#[test]
fn intervals_are_multiples_from_where_they_began() {
    let every = plan("1 hour 30 minutes", "UTC", json!(null));
    assert_eq!(
        runs(&every, "2026-01-01T02:00:00Z", 2),
        ["2026-01-01T03:00:00Z", "2026-01-01T04:30:00Z"]
    );
    // After years away the next one is found at once.
    let every = plan("1 second", "UTC", json!(null));
    assert_eq!(
        runs(&every, "2056-01-01T00:00:00.25Z", 1),
        ["2056-01-01T00:00:01Z"]
    );
}

#[test]
fn nonsense_is_refused_and_says_what_to_write() {
    for rule in [
        "",
        " ",
        "soon",
        "* * *",
        "61 * * * *",
        "* * * * * * * *",
        "5 minute hours",
        "0 s",
        "367 days",
        "99999999999999999999 days",
        "1 fortnight",
        "-1 minutes",
        "1.5 hours",
        "@sometimes",
        "0 0 * * mon-",
        "a b c d e",
        "0\u{0} 0 * * *",
        "٣ minutes",
        &"*".repeat(300),
    ] {
        let problem = refused(rule, "UTC", json!(null), 0);
        assert!(matches!(problem, Problem::Rule { .. }), "{rule}: {problem}");
        assert!(problem.hint().contains("15 minutes"), "{rule}");
    }
    for never in ["0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
        assert_eq!(
            refused(never, "UTC", json!(null), 0),
            Problem::Never(never.into())
        );
    }
    for zone in [
        "",
        "Mars/Olympus",
        "../../etc/passwd",
        "Europe",
        "/etc/localtime",
    ] {
        assert_eq!(
            refused("@daily", zone, json!(null), 0),
            Problem::Zone(zone.into())
        );
    }
    assert_eq!(
        refused("@daily", "UTC", json!(null), -1),
        Problem::Jitter(-1)
    );
    assert_eq!(
        refused("@daily", "UTC", json!(null), 3_601),
        Problem::Jitter(3_601)
    );
    assert_eq!(
        refused("1 minute", "UTC", json!(null), 60),
        Problem::Jitter(60)
    );
    assert_eq!(
        CatchUp::parse("twice").unwrap_err(),
        Problem::CatchUp("twice".into())
    );
    for window in [
        json!("22:00-05:00"),
        json!({}),
        json!({"start": "22:00"}),
        json!({"start": "22", "end": "05:00"}),
        json!({"start": "24:00", "end": "05:00"}),
        json!({"start": "+1:00", "end": "05:00"}),
        json!({"start": 22, "end": 5}),
        json!({"start": "22:00", "end": "05:00", "days": []}),
        json!({"start": "22:00", "end": "05:00", "days": ["Montag"]}),
        json!({"start": "22:00", "end": "05:00", "zone": "UTC"}),
        json!({"start": "22:00", "end": "05:00", "time_zone": 1}),
        json!({"start": "22:00", "end": "05:00", "stop_at_end": "yes"}),
    ] {
        let problem = refused("@daily", "UTC", window.clone(), 0);
        assert!(matches!(problem, Problem::Window(_)), "{window}: {problem}");
    }
    let nowhere = json!({"start": "22:00", "end": "05:00", "time_zone": "Nowhere"});
    assert_eq!(
        refused("@daily", "UTC", nowhere, 0),
        Problem::Zone("Nowhere".into())
    );
}

#[test]
fn a_window_goes_over_midnight_and_belongs_to_the_day_it_opens_on() {
    let window = json!({"start": "22:00", "end": "05:00", "days": ["fri"]});
    let hourly = plan("0 * * * *", "UTC", window);
    // 2 January 2026 is a Friday.
    assert_eq!(
        runs(&hourly, "2026-01-02T12:00:00Z", 8),
        [
            "2026-01-02T22:00:00Z",
            "2026-01-02T23:00:00Z",
            "2026-01-03T00:00:00Z",
            "2026-01-03T01:00:00Z",
            "2026-01-03T02:00:00Z",
            "2026-01-03T03:00:00Z",
            "2026-01-03T04:00:00Z",
            "2026-01-09T22:00:00Z",
        ]
    );
    let open = hourly.opening(at("2026-01-03T04:59:59Z")).unwrap();
    assert_eq!(open.end, at("2026-01-03T05:00:00Z"));
    assert_eq!(hourly.opening(open.end), None);
    // A pattern that never falls into its window runs when that opens.
    let noon = plan(
        "0 12 * * *",
        "UTC",
        json!({"start": "22:00", "end": "23:00"}),
    );
    assert_eq!(
        runs(&noon, "2026-01-02T11:00:00Z", 2),
        ["2026-01-02T22:00:00Z", "2026-01-03T22:00:00Z"]
    );
    // The same time twice is the whole day.
    let always = plan(
        "0 12 * * *",
        "UTC",
        json!({"start": "00:00", "end": "00:00"}),
    );
    assert_eq!(
        runs(&always, "2026-01-02T11:00:00Z", 1),
        ["2026-01-02T12:00:00Z"]
    );
}

#[test]
fn a_window_has_its_own_zone_and_keeps_to_the_clock_when_that_changes() {
    let berlin = |start: &str, end: &str| {
        let window = json!({"start": start, "end": end, "time_zone": "Europe/Berlin"});
        plan("1 minute", "UTC", window)
    };
    let opening = |plan: &Plan, now: &str| {
        plan.opening(at(now))
            .map(|opening| (opening.start.to_string(), opening.end.to_string()))
    };
    let pair = |start: &str, end: &str| Some((start.to_owned(), end.to_owned()));
    // 02:30 does not exist on 29 March 2026: it opens at the change.
    assert_eq!(
        opening(&berlin("02:30", "05:00"), "2026-03-29T01:00:00Z"),
        pair("2026-03-29T01:00:00Z", "2026-03-29T03:00:00Z")
    );
    // 02:30 comes twice on 25 October: it closes after the second time.
    assert_eq!(
        opening(&berlin("01:00", "02:30"), "2026-10-25T01:00:00Z"),
        pair("2026-10-24T23:00:00Z", "2026-10-25T01:30:00Z")
    );
    // A window that is skipped as a whole is not open that day.
    let skipped = berlin("02:10", "02:50");
    assert_eq!(opening(&skipped, "2026-03-29T01:00:00Z"), None);
    assert_eq!(
        runs(&skipped, "2026-03-28T12:00:00Z", 1),
        ["2026-03-30T00:10:00Z"]
    );
}

#[test]
fn jitter_is_the_same_each_time_and_stays_in_the_window() {
    let jittered = |name: &str, window| {
        Plan::parse(
            name,
            "0 1 * * *",
            "UTC",
            &window,
            3_600,
            at("2026-01-01T00:00:00Z"),
        )
        .unwrap()
    };
    let delay = |name: &str| {
        let first = jittered(name, json!(null))
            .next(at("2026-01-05T00:30:00Z"))
            .unwrap();
        first.duration_since(at("2026-01-05T01:00:00Z")).as_secs()
    };
    let delays: Vec<i64> = (0..50).map(|n| delay(&format!("job {n}"))).collect();
    assert!(
        delays.iter().all(|delay| (0..=3_600).contains(delay)),
        "{delays:?}"
    );
    assert!(
        delays
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
            .len()
            > 40,
        "{delays:?}"
    );
    let plan = jittered("job 1", json!(null));
    let each: Vec<_> = runs(&plan, "2026-01-05T00:30:00Z", 3);
    assert!(
        each.iter().all(|run| run[10..] == each[0][10..]),
        "{each:?}"
    );
    let narrow = json!({"start": "01:00", "end": "01:01"});
    for number in 0..50 {
        let plan = jittered(&format!("job {number}"), narrow.clone());
        let run = plan.next(at("2026-01-05T00:30:00Z")).unwrap();
        assert!(plan.opening(run).is_some(), "{run}");
    }
}

#[test]
fn a_turn_runs_waits_or_is_left_out() {
    let due = at("2026-01-05T01:00:00Z");
    let nightly = plan(
        "0 1 * * *",
        "UTC",
        json!({"start": "01:00", "end": "02:00"}),
    );
    let turn = |now: &str, catch_up, is_running| nightly.turn(due, at(now), catch_up, is_running);
    assert_eq!(
        turn("2026-01-05T01:00:30Z", CatchUp::None, false),
        Turn::Run
    );
    assert_eq!(
        turn("2026-01-05T01:00:30Z", CatchUp::None, true),
        Turn::Running
    );
    // The server was down for half an hour.
    assert_eq!(
        turn("2026-01-05T01:30:00Z", CatchUp::None, false),
        Turn::Missed
    );
    assert_eq!(
        turn("2026-01-05T01:30:00Z", CatchUp::Once, false),
        Turn::Run
    );
    // For half a day: the window is closed.
    assert_eq!(
        turn("2026-01-05T13:00:00Z", CatchUp::None, false),
        Turn::Missed
    );
    assert_eq!(
        turn("2026-01-05T13:00:00Z", CatchUp::Once, false),
        Turn::Later(at("2026-01-06T01:00:00Z"))
    );
}

/// What a crontab of lists says, without any parser.
fn falls_on(lists: &(Vec<u8>, Vec<u8>, Vec<u8>), moment: Timestamp) -> bool {
    let time = TimeZone::UTC.to_datetime(moment);
    let has = |list: &[u8], part: i8| list.contains(&part.unsigned_abs());
    time.second() == 0
        && has(&lists.0, time.minute())
        && has(&lists.1, time.hour())
        && has(&lists.2, time.weekday().to_sunday_zero_offset())
}

fn listed(list: &[u8]) -> String {
    list.iter().map(u8::to_string).collect::<Vec<_>>().join(",")
}

fn some(most: u8) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0..most, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_next_time_is_the_first_minute_that_fits(lists in (some(60), some(24), some(7)), start in 0_i64..40_000_000) {
        let rule = format!("{} {} * * {}", listed(&lists.0), listed(&lists.1), listed(&lists.2));
        let start = Timestamp::from_second(1_767_225_600 + start).unwrap();
        let found = plan(&rule, "UTC", json!(null)).next(start).unwrap();
        let minute = start.as_second() / 60 + 1;
        let first = (minute..).map(|minute| Timestamp::from_second(minute * 60).unwrap()).find(|moment| falls_on(&lists, *moment));
        prop_assert_eq!(Some(found), first);
    }

    #[test]
    fn every_run_lies_in_the_window_after_the_one_before(
        hours in (0_u8..24, 0_u8..24), minutes in (0_u8..60, 0_u8..60), weekday in 0_usize..7, every in 1_i64..100_000,
        jitter in 0_i64..3_600, start in 0_i64..40_000_000,
        zone in prop_oneof![Just("UTC"), Just("Europe/Berlin"), Just("America/New_York"), Just("Australia/Lord_Howe"), Just("Asia/Kathmandu")],
    ) {
        let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let window = json!({
            "start": format!("{:02}:{:02}", hours.0, minutes.0), "end": format!("{:02}:{:02}", hours.1, minutes.1),
            "days": [days[weekday], days[(weekday + 3) % 7]],
        });
        let anchor = at("2026-01-01T00:00:00Z");
        let plan = Plan::parse("p", &format!("{every} seconds"), zone, &window, jitter.min(every - 1), anchor).unwrap();
        let mut now = Timestamp::from_second(1_767_225_600 + start).unwrap();
        for _ in 0..5 {
            let run = plan.next(now).unwrap();
            prop_assert!(run > now);
            let opening = plan.opening(run);
            prop_assert!(opening.is_some_and(|opening| opening.start <= run && run < opening.end));
            prop_assert_eq!(plan.turn(run, run, CatchUp::None, false), Turn::Run);
            now = run;
        }
    }

    #[test]
    fn a_window_is_open_when_the_wall_clock_says_so(hours in (0_i8..24, 0_i8..24), start in 0_i64..60_000_000) {
        let window = json!({"start": format!("{}:00", hours.0), "end": format!("{}:00", hours.1)});
        let plan = plan("1 second", "UTC", window);
        let moment = Timestamp::from_second(1_767_225_600 + start).unwrap();
        let hour = TimeZone::UTC.to_datetime(moment).hour();
        let is_open = if hours.0 < hours.1 { (hours.0..hours.1).contains(&hour) } else { hour >= hours.0 || hour < hours.1 };
        prop_assert_eq!(plan.opening(moment).is_some(), is_open);
    }

    #[test]
    fn no_text_makes_it_panic(rule in ".{0,40}", zone in ".{0,20}", name in ".{0,20}") {
        let _ = Plan::parse(&name, &rule, &zone, &json!(null), 5, at("2026-01-01T00:00:00Z"));
    }

    #[test]
    fn no_cron_like_text_makes_it_panic(rule in "[0-9*/,\\-?LW#A-Za-z@]{1,4}( [0-9*/,\\-?LW#a-z]{1,4}){0,6}") {
        let _ = Plan::parse("n", &rule, "Europe/Berlin", &json!(null), 0, at("2026-01-01T00:00:00Z"));
    }
}

use http::{HeaderName, HeaderValue};

use super::*;

/// 2026-01-01 00:00:00 UTC.
const NOW: u64 = 1_767_225_600_000;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    headers
}

fn judged(pairs: &[(&str, &str)]) -> Result<Verdict, BypassReason> {
    judge(
        &Lookup::default(),
        StatusCode::OK,
        &headers(pairs),
        &Region::api(),
        NOW,
    )
}

fn fresh_s(pairs: &[(&str, &str)]) -> u64 {
    judged(pairs).unwrap().fresh_for.as_secs()
}

#[test]
fn c4_what_says_do_not_store_is_not_stored() {
    let cases = [
        ("no-store, max-age=60", BypassReason::NoStore),
        ("max-age=60, NO-STORE", BypassReason::NoStore),
        ("private, max-age=60", BypassReason::Private),
        ("private=\"x y\", max-age=60", BypassReason::Private),
        ("no-cache, max-age=60", BypassReason::NoCache),
        ("no-cache=\"\", max-age=60", BypassReason::NoCache),
        ("public, private, max-age=60", BypassReason::Private),
        ("max-age=-60", BypassReason::Malformed),
        ("max-age=60, max-age=oops", BypassReason::Malformed),
        ("max-age=0", BypassReason::NotFresh),
        ("s-maxage=0, max-age=60", BypassReason::NotFresh),
        ("public", BypassReason::NotFresh),
    ];
    for (value, reason) in cases {
        assert_eq!(
            judged(&[("cache-control", value)]).unwrap_err(),
            reason,
            "{value}"
        );
    }
}

#[test]
fn c10_more_fields_than_are_kept_are_not_stored() {
    let mut pairs = vec![("cache-control", "max-age=60")];
    pairs.resize(MAX_FIELDS, ("link", "</a>"));
    assert!(judged(&pairs).is_ok());
    pairs.push(("link", "</a>"));
    assert_eq!(judged(&pairs).unwrap_err(), BypassReason::TooLarge);
}

#[test]
fn the_shared_lifetime_wins_over_the_private_one_and_both_over_expires() {
    assert_eq!(fresh_s(&[("cache-control", "max-age=5, s-maxage=9")]), 9);
    assert_eq!(
        fresh_s(&[
            ("cache-control", "max-age=5"),
            ("expires", "Thu, 01 Jan 2026 01:00:00 GMT")
        ]),
        5
    );
    assert_eq!(
        fresh_s(&[("expires", "Thu, 01 Jan 2026 01:00:00 GMT")]),
        3_600
    );
    let skewed = [
        ("date", "Wed, 31 Dec 2025 23:59:00 GMT"),
        ("expires", "Thu, 01 Jan 2026 00:09:00 GMT"),
    ];
    assert_eq!(fresh_s(&skewed), 600);
}

#[test]
fn c13_expires_that_cannot_be_read_or_lies_in_the_past_is_stale() {
    for value in [
        "0",
        "-1",
        "",
        "Thu, 01 Jan 2026 00:00:00 UTC",
        "Thu, 99 Jan 2026 00:00:00 GMT",
        "Wed, 31 Dec 2025 00:00:00 GMT",
    ] {
        assert_eq!(
            judged(&[("expires", value)]).unwrap_err(),
            BypassReason::NotFresh,
            "{value}"
        );
    }
    let twice = [
        ("expires", "Thu, 01 Jan 2026 01:00:00 GMT"),
        ("expires", "Thu, 01 Jan 2026 01:00:00 GMT"),
    ];
    assert_eq!(judged(&twice).unwrap_err(), BypassReason::NotFresh);
}

#[test]
fn c13_age_and_an_old_date_make_an_answer_older() {
    let with_age = |age| judged(&[("cache-control", "max-age=60"), ("age", age)]);
    assert_eq!(with_age("20").unwrap().age, Duration::from_secs(20));
    assert_eq!(with_age("60").unwrap_err(), BypassReason::NotFresh);
    assert_eq!(
        with_age("99999999999999999999").unwrap_err(),
        BypassReason::NotFresh
    );
    for unreadable in ["-5", "abc", "7200.0", "5;x=1", ""] {
        assert_eq!(
            with_age(unreadable).unwrap_err(),
            BypassReason::NotFresh,
            "{unreadable}"
        );
    }
    let dated = |date| judged(&[("cache-control", "max-age=60"), ("date", date)]);
    assert_eq!(
        dated("Wed, 31 Dec 2025 23:59:30 GMT").unwrap().age,
        Duration::from_secs(30)
    );
    assert_eq!(
        dated("Thu, 01 Jan 2026 00:10:00 GMT").unwrap().age,
        Duration::ZERO,
        "a date ahead of us"
    );
}

#[test]
fn a_regions_ttl_applies_only_where_the_handler_said_nothing() {
    let region = Region::api().ttl(Duration::from_secs(30));
    let judge_in = |status, pairs: &[(&str, &str)]| {
        judge(&Lookup::default(), status, &headers(pairs), &region, NOW)
    };
    assert_eq!(
        judge_in(StatusCode::OK, &[]).unwrap().fresh_for,
        Duration::from_secs(30)
    );
    let max_age = judge_in(StatusCode::OK, &[("cache-control", "max-age=5")]).unwrap();
    assert_eq!(max_age.fresh_for, Duration::from_secs(5));
    for said in [("cache-control", "public"), ("expires", "0")] {
        assert_eq!(
            judge_in(StatusCode::OK, &[said]).unwrap_err(),
            BypassReason::NotFresh,
            "{said:?}"
        );
    }
    assert_eq!(
        judge_in(StatusCode::OK, &[("pragma", "no-cache")]).unwrap_err(),
        BypassReason::NoCache
    );
    assert_eq!(
        judge_in(StatusCode::MOVED_PERMANENTLY, &[]).unwrap_err(),
        BypassReason::NotFresh
    );
}

#[test]
fn c1_credentials_share_only_what_says_so() {
    let with = |authorization, cookie, value: &str| {
        let credentials = Credentials {
            authorization,
            cookie,
        };
        let lookup = Lookup {
            credentials,
            ..Lookup::default()
        };
        judge(
            &lookup,
            StatusCode::OK,
            &headers(&[("cache-control", value)]),
            &Region::api(),
            NOW,
        )
        .map(|_| ())
    };
    assert_eq!(
        with(true, false, "max-age=60"),
        Err(BypassReason::Authorization)
    );
    assert_eq!(with(false, true, "max-age=60"), Err(BypassReason::Cookie));
    assert_eq!(with(true, false, "max-age=60, must-revalidate"), Ok(()));
    assert_eq!(
        with(false, true, "max-age=60, must-revalidate"),
        Err(BypassReason::Cookie)
    );
    for value in ["public, max-age=60", "s-maxage=60"] {
        assert_eq!(with(true, true, value), Ok(()), "{value}");
    }
}

#[test]
fn c8_errors_and_partial_answers_are_not_stored() {
    for status in [206, 304, 400, 401, 404, 410, 414, 431, 500, 502, 503] {
        let status = StatusCode::from_u16(status).unwrap();
        let verdict = judge(
            &Lookup::default(),
            status,
            &headers(&[("cache-control", "public, max-age=60")]),
            &Region::api(),
            NOW,
        );
        assert_eq!(verdict.unwrap_err(), BypassReason::Status, "{status}");
    }
}

#[test]
fn c9_streams_trailers_and_bad_lengths_are_not_stored() {
    let fresh = ("cache-control", "max-age=60");
    assert_eq!(
        judged(&[fresh, ("content-type", "Text/Event-Stream; charset=utf-8")]).unwrap_err(),
        BypassReason::Stream
    );
    assert_eq!(
        judged(&[fresh, ("trailer", "x-sum")]).unwrap_err(),
        BypassReason::Stream
    );
    assert_eq!(
        judged(&[fresh, ("content-length", "1"), ("content-length", "1")]).unwrap_err(),
        BypassReason::Malformed
    );
    assert_eq!(
        judged(&[fresh, ("content-length", "+1")]).unwrap_err(),
        BypassReason::Malformed
    );
    assert_eq!(
        judged(&[fresh, ("content-length", "99999999")]).unwrap_err(),
        BypassReason::TooLarge
    );
}

#[test]
fn c2_an_answer_with_set_cookie_is_not_stored_whatever_else_it_says() {
    let pairs = [
        ("cache-control", "public, max-age=60"),
        ("set-cookie", "a=b"),
    ];
    assert_eq!(judged(&pairs).unwrap_err(), BypassReason::SetCookie);
}

#[test]
fn fields_that_the_answer_keeps_back_are_left_out_and_the_rest_is_stored() {
    let verdict = judged(&[(
        "cache-control",
        "private=\"x-user, x-plan\", no-cache=\"x-count\", max-age=60",
    )])
    .unwrap();
    assert_eq!(verdict.left_out, ["x-user", "x-plan", "x-count"]);
    assert_eq!(verdict.fresh_for, Duration::from_secs(60));
}

#[test]
fn must_understand_goes_before_no_store_where_the_status_is_known() {
    let of = |status: u16| {
        let headers = headers(&[("cache-control", "must-understand, no-store, max-age=60")]);
        let status = StatusCode::from_u16(status).unwrap();
        let region = Region::api().errors(true);
        judge(&Lookup::default(), status, &headers, &region, NOW)
    };
    assert!(of(200).is_ok() && of(404).is_ok());
    assert_eq!(of(299).unwrap_err(), BypassReason::Status);
    assert_eq!(of(599).unwrap_err(), BypassReason::Status);
}

#[test]
fn what_is_not_fresh_is_stored_where_it_can_be_validated() {
    for control in [
        "no-cache",
        "no-cache, max-age=60",
        "max-age=0",
        "s-maxage=0, max-age=60",
    ] {
        let with = |validator: (&'static str, &'static str)| {
            judged(&[("cache-control", control), validator])
        };
        assert!(judged(&[("cache-control", control)]).is_err(), "{control}");
        assert!(!with(("etag", "\"a\"")).unwrap().is_fresh(), "{control}");
        assert!(with(("last-modified", "Wed, 31 Dec 2025 00:00:00 GMT")).is_ok());
        assert!(with(("etag", "a")).is_err(), "no quotes, no tag");
    }
    assert_eq!(
        judged(&[("etag", "\"a\"")]).unwrap_err(),
        BypassReason::NotFresh,
        "without a word about reuse there is none"
    );
}

#[test]
fn stale_use_is_what_the_origin_says_else_what_the_region_says() {
    let region = Region::api()
        .stale_while_revalidate(Duration::from_secs(7))
        .stale_if_error(Duration::from_secs(8));
    let of = |control: &str| {
        let headers = headers(&[("cache-control", control)]);
        let verdict = judge(&Lookup::default(), StatusCode::OK, &headers, &region, NOW);
        let stale = verdict.unwrap().stale;
        (
            stale.forbidden,
            stale.while_revalidate.as_secs(),
            stale.if_error.as_secs(),
        )
    };
    assert_eq!(of("max-age=1"), (false, 7, 8));
    assert_eq!(
        of("max-age=1, stale-while-revalidate=3, stale-if-error=0"),
        (false, 3, 0)
    );
    assert_eq!(of("s-maxage=1"), (true, 0, 0));
    assert_eq!(of("s-maxage=1, stale-if-error=3"), (true, 0, 3));
    for word in ["must-revalidate", "proxy-revalidate"] {
        let control = format!("max-age=1, stale-while-revalidate=3, {word}");
        assert_eq!(of(&control), (true, 0, 0));
    }
}

#[test]
fn a_heuristic_is_a_tenth_of_the_time_since_the_last_change_and_a_day_at_most() {
    let guess = |modified: &str, more: &[(&str, &str)]| {
        let mut pairs = vec![("last-modified", modified)];
        pairs.extend(more);
        let region = Region::api().heuristic(true);
        let verdict = judge(
            &Lookup::default(),
            StatusCode::OK,
            &headers(&pairs),
            &region,
            NOW,
        );
        verdict.map(|verdict| verdict.fresh_for.as_secs())
    };
    assert_eq!(guess("Wed, 31 Dec 2025 23:43:20 GMT", &[]), Ok(100));
    assert_eq!(guess("Thu, 01 Jan 2015 00:00:00 GMT", &[]), Ok(86_400));
    let said = [("cache-control", "max-age=5")];
    assert_eq!(guess("Thu, 01 Jan 2015 00:00:00 GMT", &said), Ok(5));
    assert_eq!(
        guess("Fri, 02 Jan 2026 00:00:00 GMT", &[]),
        Err(BypassReason::NotFresh)
    );
    assert!(judged(&[("last-modified", "Thu, 01 Jan 2015 00:00:00 GMT")]).is_err());
}

#[test]
fn errors_are_stored_only_where_the_region_says_so() {
    let judged = |region: &Region, pairs: &[(&str, &str)]| {
        let headers = headers(pairs);
        judge(
            &Lookup::default(),
            StatusCode::NOT_FOUND,
            &headers,
            region,
            NOW,
        )
        .map(|verdict| verdict.fresh_for.as_secs())
    };
    let explicit = [("cache-control", "max-age=60")];
    assert_eq!(judged(&Region::api(), &explicit), Err(BypassReason::Status));
    assert_eq!(judged(&Region::api().errors(true), &explicit), Ok(60));
    let negative = Region::api().negative_ttl(StatusCode::NOT_FOUND, Duration::from_secs(5));
    assert_eq!(judged(&negative, &[]), Ok(5));
    assert_eq!(judged(&negative, &explicit), Ok(60));
    assert_eq!(
        judged(&negative, &[("cache-control", "no-store")]),
        Err(BypassReason::NoStore)
    );
}

#[test]
fn a_targeted_field_stands_for_cache_control_and_expires() {
    let verdict = judged(&[
        ("cdn-cache-control", "max-age=600"),
        ("cache-control", "no-store"),
        ("expires", "0"),
    ]);
    assert_eq!(verdict.unwrap().fresh_for, Duration::from_secs(600));
    let ours = judged(&[
        ("cdn-cache-control", "max-age=600"),
        ("pitcrew-cache-control", "no-store"),
        ("cache-control", "max-age=60"),
    ]);
    assert_eq!(ours.unwrap_err(), BypassReason::NoStore);
}

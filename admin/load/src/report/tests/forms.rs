//! What people, CI and other tools read.

use super::some;
use crate::record::ErrorKind;

#[test]
fn the_page_holds_all_it_needs_and_nothing_of_others_as_markup() {
    let page = some().html();
    for foreign in [
        "<script",
        "<img",
        "onerror=alert(1)>",
        "http://",
        "https://",
        "Bearer",
        "NaN",
        "inf ",
    ] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    for own in [
        "&lt;script&gt;alert(1)",
        "Latency by percentile",
        "Answers a second",
        "Heat map",
        "95 % interval",
        "p99.99",
        "too short",
        "error_rate &lt; 1% over 10s",
        "class=\"bad\">broken",
        "class=\"good\">held",
        "status 503",
        "error: timeout",
        "prefers-color-scheme: dark",
    ] {
        assert!(page.contains(own), "{own}");
    }
    is_well_formed(&page.replace("<!doctype html>", ""));
    // Size does not grow with the run: 60 columns, whatever its seconds.
    assert!(page.len() < 100_000, "{}", page.len());
}

#[test]
fn junit_has_a_case_for_each_threshold_and_one_for_the_tester() {
    let mut results = some();
    let text = results.junit();
    is_well_formed(&text);
    assert!(
        text.contains("tests=\"4\" failures=\"1\" errors=\"0\""),
        "{text}"
    );
    assert!(
        text.contains("name=\"error_rate &lt; 1% over 10s\""),
        "{text}"
    );
    assert_eq!(text.matches("<testcase ").count(), 4);
    assert_eq!(text.matches("<failure ").count(), 1);
    results.report.cancelled = true;
    results.target = "\u{1}<&\"".to_owned();
    let text = results.junit();
    is_well_formed(&text);
    assert!(
        text.contains("errors=\"1\"") && text.contains("was interrupted"),
        "{text}"
    );
}

/// Every element that begins also ends, and in its order; nothing is left unescaped.
fn is_well_formed(text: &str) {
    let mut open: Vec<&str> = Vec::new();
    for piece in text.split('<').skip(1) {
        let (tag, rest) = piece.split_once('>').expect(piece);
        assert!(
            !rest.contains('>') || open.last() == Some(&"style"),
            "{piece}"
        );
        let name = tag
            .split([' ', '/', '\n'])
            .find(|word| !word.is_empty())
            .unwrap_or("");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{piece}");
        } else if !(tag.ends_with('/') || tag.starts_with('?') || matches!(name, "meta" | "br")) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn markdown_has_the_same_figures_and_keeps_its_tables() {
    let mut results = some();
    results.target = "a|b`<i>".to_owned();
    let timeouts = results.report.errors[&ErrorKind::Timeout];
    let text = results.markdown();
    assert!(text.starts_with("# Load test of a\\|b\\`\\<i>\n"), "{text}");
    assert!(text.contains("1,000 requests in 60.00 s"), "{text}");
    assert!(
        text.contains("1,003 were due, 2 missed; 1 given up"),
        "{text}"
    );
    assert!(text.contains("| rate >= 1/s |"), "{text}");
    assert!(text.contains("| **broken** |"), "{text}");
    assert!(
        text.contains("| p99.99 | too short | takes 36,887 |"),
        "{text}"
    );
    assert!(
        text.contains(&format!("\n| timeout | {timeouts} |")),
        "{text}"
    );
    assert!(
        text.contains("    \"authorization\": \"(hidden)\""),
        "{text}"
    );
}

#[test]
fn other_tools_can_read_the_log() {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
    let results = some();
    let log = results.hdr_log();
    assert!(
        log.starts_with("#[Histogram log format version 1.3]\n#[StartTime: 1790000000.000"),
        "{log}"
    );
    let mut whole = crate::record::histogram();
    let mut tags = Vec::new();
    for entry in IntervalLogIterator::new(log.as_bytes()) {
        let LogEntry::Interval(line) = entry.expect("a line") else {
            continue;
        };
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(line.encoded_histogram())
            .expect("base64");
        let histogram: hdrhistogram::Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .expect("a histogram");
        match line.tag() {
            None => whole.add(histogram).expect("added"),
            Some(tag) => tags.push((tag.as_str().to_owned(), histogram.len())),
        }
    }
    assert_eq!(whole, results.report.histograms.response.unpacked());
    let (good, bad) = (results.report.ok, 1_000 - results.report.ok);
    let wanted = [("service", good), ("failed", bad), ("lag", 1_000)];
    assert_eq!(tags, wanted.map(|(tag, count)| (tag.to_owned(), count)));
}

//! How figures are written, and how what comes from outside is made harmless.

use crate::record::ErrorKind;

/// Four significant figures at most: `0.123`, `12.35`, `4321`.
pub(super) fn figure(value: f64) -> String {
    let text = match value.abs() {
        size if size >= 1_000.0 => return thousands(value.round() as u64),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 10.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    };
    let short = text.trim_end_matches('0').trim_end_matches('.');
    short.to_owned()
}

/// With a comma after each three: `1,234,567`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in milliseconds with the unit that reads best.
pub(super) fn time(ms: f64) -> String {
    if ms >= 1_000.0 {
        format!("{} s", figure(ms / 1e3))
    } else if ms >= 1.0 || ms == 0.0 {
        format!("{} ms", figure(ms))
    } else {
        format!("{} µs", figure(ms * 1e3))
    }
}

/// From one time to another, in the unit of the longer: `3.294 to 3.385 ms`.
pub(super) fn range(low_ms: f64, high_ms: f64) -> String {
    let high = time(high_ms);
    let factor = match high.split_once(' ') {
        Some((_, "s")) => 1e-3,
        Some((_, "µs")) => 1e3,
        _ => 1.0,
    };
    format!("{} to {high}", figure(low_ms * factor))
}

/// The name of an error, as in JSON.
pub(super) fn name(kind: ErrorKind) -> String {
    match serde_json::to_value(kind) {
        Ok(serde_json::Value::String(name)) => name,
        _ => "other".to_owned(),
    }
}

/// For HTML and XML, in text and between quotes. Characters that XML 1.0 (section 2.2) does not know become U+FFFD.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\t' | '\n' | '\r' => safe.push(character),
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            _ if character.is_control() => safe.push('\u{fffd}'),
            _ => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_as_long_as_they_have_to_be() {
        for (value, text) in [
            (0.0, "0"),
            (0.123_4, "0.123"),
            (1.5, "1.5"),
            (12.345, "12.35"),
            (100.0, "100"),
            (432.19, "432.2"),
            (1_234.5, "1,235"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(figure(value), text);
        }
        for (low, high, text) in [
            (0.5, 3.385, "0.5 to 3.385 ms"),
            (0.045, 0.05, "45 to 50 µs"),
            (900.0, 1_500.0, "0.9 to 1.5 s"),
        ] {
            assert_eq!(range(low, high), text);
        }
        for (ms, text) in [
            (0.0, "0 ms"),
            (0.045, "45 µs"),
            (1.5, "1.5 ms"),
            (999.0, "999 ms"),
            (1_500.0, "1.5 s"),
        ] {
            assert_eq!(time(ms), text);
        }
    }

    #[test]
    fn what_comes_from_outside_stays_text() {
        assert_eq!(
            escaped("<a href='x\" & \u{0}\u{1b}\u{85}\n"),
            "&lt;a href=&#39;x&quot; &amp; \u{fffd}\u{fffd}\u{fffd}\n"
        );
    }
}

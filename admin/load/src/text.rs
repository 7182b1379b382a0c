//! The short forms of the command line: `10s`, `1000/s:30s`, `0..1000/s:1m`, `0..50:30s`.

use std::str::FromStr;

use crate::arrivals::Stage;
use crate::users::UserStage;

/// A text that is not of its form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` {wants}")]
pub struct TextError {
    text: String,
    wants: &'static str,
}

/// Seconds of a text such as `500ms`, `10s`, `1.5m` or `1h`. A unit has to be there.
///
/// # Errors
/// The text is no such time, or not a finite one that is more than 0.
pub fn seconds(text: &str) -> Result<f64, TextError> {
    let wrong = || TextError {
        text: text.to_owned(),
        wants: "is no time: write 500ms, 10s, 1.5m or 1h",
    };
    let text_of = text.trim();
    // The longer ending first: `ms` ends in `s`.
    for (ending, factor) in [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)] {
        if let Some(number) = text_of.strip_suffix(ending) {
            let seconds = number.trim().parse::<f64>().map_err(|_| wrong())? * factor;
            return if seconds.is_finite() && seconds > 0.0 {
                Ok(seconds)
            } else {
                Err(wrong())
            };
        }
    }
    Err(wrong())
}

impl FromStr for Stage {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let wrong = || TextError {
            text: text.to_owned(),
            wants: "is no stage: write 1000/s:30s for a rate, or 0..1000/s:30s for one that changes evenly",
        };
        let (rates, time) = text.trim().split_once("/s:").ok_or_else(wrong)?;
        let number = |text: &str| -> Result<f64, TextError> {
            let number: f64 = text.trim().parse().map_err(|_| wrong())?;
            if number.is_finite() && number >= 0.0 {
                Ok(number)
            } else {
                Err(wrong())
            }
        };
        let (rate_per_s, to_rate_per_s) = match rates.split_once("..") {
            Some((from, to)) => (number(from)?, Some(number(to)?)),
            None => (number(rates)?, None),
        };
        Ok(Self {
            duration_s: seconds(time)?,
            rate_per_s,
            to_rate_per_s,
        })
    }
}

impl FromStr for UserStage {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let wrong = || TextError {
            text: text.to_owned(),
            wants: "is no stage: write 50:30s for a number of users, or 0..50:30s for one that changes evenly",
        };
        let (users, time) = text.trim().split_once(':').ok_or_else(wrong)?;
        let number = |text: &str| text.trim().parse().map_err(|_| wrong());
        let (users, to_users) = match users.split_once("..") {
            Some((from, to)) => (number(from)?, Some(number(to)?)),
            None => (number(users)?, None),
        };
        Ok(Self {
            duration_s: seconds(time)?,
            users,
            to_users,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        for (text, value) in [
            ("500ms", 0.5),
            ("10s", 10.0),
            ("1.5m", 90.0),
            (" 1h ", 3_600.0),
        ] {
            assert_eq!(seconds(text), Ok(value), "{text}");
        }
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "0s",
            "infs",
            "NaNs",
            "10 seconds",
            "1e999s",
        ] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn stages_of_users_have_no_rate() {
        let stage = |text: &str| text.parse::<UserStage>();
        assert_eq!(
            stage("0..50:30s"),
            Ok(UserStage {
                duration_s: 30.0,
                users: 0,
                to_users: Some(50)
            })
        );
        assert_eq!(stage("7:1m").map(|stage| stage.to_users), Ok(None));
        for text in ["", "7", "7:", "-1:1s", "1.5:1s", "7/s:1s", "1..:1s", "7:0s"] {
            assert!(stage(text).is_err(), "{text}");
        }
    }

    #[test]
    fn stages_are_rates_for_a_time() {
        let stage = |text: &str| text.parse::<Stage>();
        assert_eq!(
            stage("1000/s:30s"),
            Ok(Stage {
                duration_s: 30.0,
                rate_per_s: 1_000.0,
                to_rate_per_s: None
            })
        );
        assert_eq!(
            stage("0..2.5/s:1m"),
            Ok(Stage {
                duration_s: 60.0,
                rate_per_s: 0.0,
                to_rate_per_s: Some(2.5)
            })
        );
        for text in [
            "",
            "1000",
            "1000/s",
            "1000/s:",
            "-1/s:1s",
            "a/s:1s",
            "1..b/s:1s",
            "1/s:0s",
        ] {
            assert!(stage(text).is_err(), "{text}");
        }
    }
}

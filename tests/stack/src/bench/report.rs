//! A suite's report: a table for people, a JSON array for programs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::paired::{Interval, interval, quotients};
use crate::error::{Error, Result};

/// One measured figure.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Its name: unique in the project; `_vs_` or `_ratio` where `value` is a quotient.
    pub figure: String,
    /// Of `value`, `low`, `high`, `control`, `ours` and `peer` (`ratio` for a quotient).
    pub unit: String,
    /// What a bar reads.
    pub value: f64,
    /// Lower end of the 90 % interval, where there is one.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// The same thing against itself: the noise of this run.
    pub control: Option<f64>,
    /// Our own reading, where `value` is a quotient.
    pub ours: Option<f64>,
    /// The peer's reading.
    pub peer: Option<f64>,
    /// The peer.
    pub peer_name: Option<String>,
    /// The peer's version.
    pub peer_version: Option<String>,
}

impl Figure {
    /// A figure of our own, from repeated readings.
    #[must_use]
    pub fn own(figure: &str, unit: &str, reading: Interval) -> Self {
        Self {
            figure: figure.into(),
            unit: unit.into(),
            value: reading.value,
            low: Some(reading.low),
            high: Some(reading.high),
            control: None,
            ours: None,
            peer: None,
            peer_name: None,
            peer_version: None,
        }
    }

    /// A quotient of paired rounds: our readings over the peer's. `again` are readings of ours taken a second time in
    /// the same rounds, which is the control.
    #[must_use]
    pub fn ratio(figure: &str, ours: &[f64], again: &[f64], peer: &[f64]) -> Self {
        Self {
            control: Some(interval(&quotients(again, ours)).value),
            ours: Some(interval(ours).value),
            peer: Some(interval(peer).value),
            ..Self::own(figure, "ratio", interval(&quotients(ours, peer)))
        }
    }

    /// Names the peer.
    #[must_use]
    pub fn against(mut self, name: &str, version: &str) -> Self {
        self.peer_name = Some(name.into());
        self.peer_version = Some(version.into());
        self
    }
}

/// Writes `SUITE.json` into `dir` and answers the table to print with the file's path.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] where a number is not finite, for JSON has no such numbers.
pub fn write(dir: &Path, suite: &str, figures: &[Figure]) -> Result<(String, PathBuf)> {
    let path = dir.join(format!("{suite}.json"));
    if let Some(figure) = figures.iter().find(|figure| !figure.value.is_finite()) {
        return Err(Error::Format {
            path,
            detail: format!("{} is {}", figure.figure, figure.value),
        });
    }
    std::fs::create_dir_all(dir).map_err(Error::io("make", dir))?;
    let text = serde_json::to_vec_pretty(figures).map_err(|error| Error::Format {
        path: path.clone(),
        detail: error.to_string(),
    })?;
    crate::files::replace(&path, &text, 0o644)?;
    Ok((table(figures), path))
}

fn table(figures: &[Figure]) -> String {
    let width = figures
        .iter()
        .map(|figure| figure.figure.len())
        .max()
        .unwrap_or(0)
        .max(6);
    let mut text = format!(
        "{:width$}  {:>12}  {:>25}  {:>10}  unit\n",
        "figure", "value", "90 % interval", "control"
    );
    for figure in figures {
        let interval = match (figure.low, figure.high) {
            (Some(low), Some(high)) => format!("{low:.3} - {high:.3}"),
            _ => "-".into(),
        };
        let control = figure
            .control
            .map_or_else(|| "-".into(), |control| format!("{control:.3}"));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:width$}  {:>12.3}  {interval:>25}  {control:>10}  {}",
            figure.figure, figure.value, figure.unit
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_the_promised_fields_and_refuses_infinities() {
        let dir = std::env::temp_dir().join(format!("pitcrew-report-{}", std::process::id()));
        let figure = Figure::own(
            "x_ms",
            "ms",
            Interval {
                value: 1.0,
                low: 0.5,
                high: 2.0,
            },
        );
        let (table, path) = write(&dir, "s", std::slice::from_ref(&figure)).unwrap();
        assert!(table.contains("0.500 - 2.000"), "{table}");
        let read: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let keys: Vec<&str> = read[0]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        for key in [
            "figure",
            "unit",
            "value",
            "low",
            "high",
            "control",
            "ours",
            "peer",
            "peer_name",
            "peer_version",
        ] {
            assert!(keys.contains(&key), "{key}");
        }
        assert!(
            write(
                &dir,
                "s",
                &[Figure {
                    value: f64::INFINITY,
                    ..figure
                }]
            )
            .is_err()
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

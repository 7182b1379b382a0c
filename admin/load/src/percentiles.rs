//! Percentiles of a histogram, as a report shows them.

use hdrhistogram::Histogram;
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use crate::confidence::needed;

/// Times in milliseconds; all 0 where nothing was counted.
///
/// As JSON a percentile of which too few were counted to say anything of it is null: the 99th wants 368, the 99.99th 36,887
/// ([`Estimate`](crate::Estimate)).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Percentiles {
    /// How many were counted.
    pub count: u64,
    /// Arithmetic mean.
    pub mean_ms: f64,
    /// Lowest.
    pub min_ms: f64,
    /// Median.
    pub p50_ms: f64,
    /// 75th percentile.
    pub p75_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p999_ms: f64,
    /// 99.99th percentile.
    pub p9999_ms: f64,
    /// Highest.
    pub max_ms: f64,
}

impl Percentiles {
    /// Of a histogram of microseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let quantile = |q| ms(histogram.value_at_quantile(q));
        Self {
            count: histogram.len(),
            mean_ms: histogram.mean() / 1e3,
            min_ms: ms(histogram.min()),
            p50_ms: quantile(0.5),
            p75_ms: quantile(0.75),
            p90_ms: quantile(0.9),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            p999_ms: quantile(0.999),
            p9999_ms: quantile(0.9999),
            max_ms: ms(histogram.max()),
        }
    }
}

impl Serialize for Percentiles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Percentiles", 11)?;
        let known = |quantile: f64, value: f64| (self.count >= needed(quantile)).then_some(value);
        fields.serialize_field("count", &self.count)?;
        fields.serialize_field("mean_ms", &self.mean_ms)?;
        fields.serialize_field("min_ms", &self.min_ms)?;
        fields.serialize_field("p50_ms", &known(0.5, self.p50_ms))?;
        fields.serialize_field("p75_ms", &known(0.75, self.p75_ms))?;
        fields.serialize_field("p90_ms", &known(0.9, self.p90_ms))?;
        fields.serialize_field("p95_ms", &known(0.95, self.p95_ms))?;
        fields.serialize_field("p99_ms", &known(0.99, self.p99_ms))?;
        fields.serialize_field("p999_ms", &known(0.999, self.p999_ms))?;
        fields.serialize_field("p9999_ms", &known(0.9999, self.p9999_ms))?;
        fields.serialize_field("max_ms", &self.max_ms)?;
        fields.end()
    }
}

/// Microseconds as milliseconds.
pub(crate) fn ms(us: u64) -> f64 {
    us as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_json_a_percentile_of_too_few_is_null() {
        let mut histogram = crate::record::histogram();
        for us in 1..=100 {
            histogram.saturating_record(us * 1_000);
        }
        let told = serde_json::to_value(Percentiles::of(&histogram)).expect("JSON");
        assert_eq!(told["count"], 100);
        assert!(
            told["p95_ms"]
                .as_f64()
                .is_some_and(|ms| (95.0..95.2).contains(&ms)),
            "{told}"
        );
        assert!(
            told["p99_ms"].is_null() && told["p9999_ms"].is_null(),
            "{told}"
        );
        assert!(told["max_ms"].is_number());
    }
}

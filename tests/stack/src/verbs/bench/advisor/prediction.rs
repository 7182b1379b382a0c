//! Part `prediction`: each index is predicted, then built, and the two are compared.
//!
//! Statistics stay as they are: no autovacuum, and what is built is rolled back. Where a prediction rests on an expression's
//! statistics the truth is the cost after ANALYZE as well, in the same transaction.

use pitcrew_stack::bench::{Figure, Interval};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Progress, Result};
use tokio_postgres::Client;

use super::cases::{Kind, SCHEMAS};
use super::{one, quoted, run};

/// A prediction and what was then there.
pub(super) struct Compared {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) confidence: String,
    /// Predicted cost over the cost once built.
    pub(super) cost: f64,
    /// Predicted bytes over the bytes once built; `None` where sets are compared.
    pub(super) bytes: Option<f64>,
}

/// What the figures have to stay within.
const BARS: [(&str, &str, f64); 6] = [
    ("cost_error_mean_pct", "%", 1.0),
    ("cost_error_max_pct", "%", 5.0),
    ("expression_error_mean_pct", "%", 10.0),
    ("size_error_log2", "log2", 0.15),
    ("correlated_size_error_log2", "log2", f64::INFINITY),
    ("overconfident_rows", "rows", 0.0),
];
/// A row with a higher confidence than `low` that is further off was overconfident, in percent.
const HIGH_WITHIN: f64 = 5.0;
const MEDIUM_WITHIN: f64 = 10.0;

/// All schemas' cases.
pub(super) async fn cases(client: &Client, signals: &Signals) -> Result<Vec<Compared>> {
    let mut found = Vec::new();
    for schema in SCHEMAS {
        for statement in schema.setup {
            run(client, statement).await?;
        }
        run(client, "VACUUM ANALYZE").await?;
        for case in schema.cases {
            signals.check()?;
            let compared = compare(client, case.kind, case.ddl, case.query).await?;
            found.push(Compared {
                name: format!("{}: {}: {}", schema.name, case.ddl, case.query),
                ..compared
            });
        }
    }
    Ok(found)
}

async fn compare(client: &Client, kind: Kind, ddl: &str, query: &str) -> Result<Compared> {
    let predicted = one(
        client,
        &format!(
            "SELECT cost_after, indexes_predicted->0->>'bytes', confidence FROM pitcrew.explain_with({}, ARRAY[{}])",
            quoted(query),
            quoted(ddl)
        ),
    )
    .await?;
    run(client, "BEGIN").await?;
    run(client, &named(ddl)).await?;
    let bytes = one(
        client,
        "SELECT coalesce((SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree('built')), pg_relation_size('built'))",
    )
    .await?;
    if kind == Kind::Sampled || kind == Kind::Unknown {
        let table = one(
            client,
            "SELECT indrelid::regclass FROM pg_index WHERE indexrelid = 'built'::regclass",
        )
        .await?;
        run(client, &format!("ANALYZE {}", table[0])).await?;
    }
    let cost = cost(client, query).await?;
    run(client, "ROLLBACK").await?;
    Ok(Compared {
        kind,
        name: String::new(),
        confidence: predicted[2].clone(),
        cost: number(&predicted[0])? / cost,
        bytes: Some(number(&predicted[1])? / number(&bytes[0])?),
    })
}

/// Several indexes at once, as advisors suggest them: every query under every set.
pub(super) async fn sets(
    client: &Client,
    sets: &[(String, Vec<String>)],
    queries: &[(String, String)],
    signals: &Signals,
) -> Result<Vec<Compared>> {
    let mut found = Vec::new();
    for (set, indexes) in sets {
        let list: Vec<String> = indexes.iter().map(|ddl| quoted(ddl)).collect();
        let mut predicted = Vec::new();
        for (_, query) in queries {
            signals.check()?;
            let call = format!(
                "SELECT cost_after, confidence, (SELECT sum((i->>'bytes')::bigint) FROM jsonb_array_elements(indexes_predicted) i) \
                 FROM pitcrew.explain_with({}, ARRAY[{}])",
                quoted(query),
                list.join(", ")
            );
            predicted.push(one(client, &call).await?);
        }
        run(client, "BEGIN").await?;
        let before = one(client, "SELECT pg_database_size(current_database())").await?;
        for ddl in indexes {
            signals.check()?;
            run(client, ddl).await?;
        }
        let after = one(client, "SELECT pg_database_size(current_database())").await?;
        let bytes = number(&after[0])? - number(&before[0])?;
        for ((name, query), predicted) in queries.iter().zip(&predicted) {
            found.push(Compared {
                kind: Kind::Plain,
                name: format!("tpch: {set}: {name}"),
                confidence: predicted[1].clone(),
                cost: number(&predicted[0])? / cost(client, query).await?,
                bytes: None,
            });
        }
        run(client, "ROLLBACK").await?;
        if let Some(first) = predicted.first() {
            Progress::Print.say(format!(
                "{set}: predicted {:.1} MB, built {:.1} MB",
                number(&first[2])? / 1e6,
                bytes / 1e6
            ));
        }
    }
    Ok(found)
}

/// The figures, and a line for each prediction.
pub(super) fn figures(found: &[Compared]) -> Result<Vec<Figure>> {
    let error = |compared: &Compared| (compared.cost - 1.0).abs() * 100.0;
    let is_low = |compared: &&Compared| compared.confidence == "low";
    for compared in found {
        Progress::Print.say(format!(
            "{:>8.2} % {:>8} {:>6}  {}",
            (compared.cost - 1.0) * 100.0,
            compared
                .bytes
                .map_or_else(|| "-".into(), |bytes| format!("{:+.3}", bytes.log2())),
            compared.confidence,
            compared.name
        ));
    }
    let costs = |kinds: &[Kind]| -> Vec<f64> {
        let relevant = found
            .iter()
            .filter(|compared| kinds.contains(&compared.kind));
        relevant
            .filter(|compared| !is_low(compared))
            .map(error)
            .collect()
    };
    let sizes = |is_correlated: bool| -> Vec<f64> {
        found
            .iter()
            .filter(|compared| (compared.kind == Kind::Correlated) == is_correlated)
            .filter_map(|compared| Some(compared.bytes?.log2().abs()))
            .collect()
    };
    let plain = costs(&[Kind::Plain, Kind::Correlated]);
    let overconfident: Vec<&Compared> = found
        .iter()
        .filter(|compared| match compared.confidence.as_str() {
            "high" => error(compared) > HIGH_WITHIN,
            "medium" => error(compared) > MEDIUM_WITHIN,
            _ => false,
        })
        .collect();
    for compared in &overconfident {
        Progress::Print.say(format!("overconfident: {}", compared.name));
    }
    let values = [
        mean(&plain),
        plain.iter().copied().fold(0.0, f64::max),
        mean(&costs(&[Kind::Sampled, Kind::Partial])),
        mean(&sizes(false)),
        mean(&sizes(true)),
        overconfident.len() as f64,
    ];
    let low = found.iter().filter(is_low).count();
    Progress::Print.say(format!(
        "{} predictions, {low} of low confidence",
        found.len()
    ));
    if low * 2 > found.len() {
        return Err(Error::Extension(
            "most predictions are of low confidence: the figures say nothing".into(),
        ));
    }
    Ok(BARS
        .iter()
        .zip(values)
        .map(|((figure, unit, bar), value)| {
            if bar.is_finite() {
                Progress::Print.say(format!("{figure}: the bar is {bar} {unit}"));
            }
            // Counted once; nothing here varies from reading to reading.
            let reading = Interval {
                value,
                low: value,
                high: value,
            };
            Figure::own(figure, unit, reading)
        })
        .collect())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The definition under the name `built`.
fn named(ddl: &str) -> String {
    ddl.replacen("INDEX ON", "INDEX built ON", 1)
}

pub(super) async fn cost(client: &Client, query: &str) -> Result<f64> {
    let plan = one(client, &format!("EXPLAIN (FORMAT JSON) {query}")).await?;
    let read: serde_json::Value =
        serde_json::from_str(&plan[0]).map_err(|error| Error::Extension(error.to_string()))?;
    read[0]["Plan"]["Total Cost"]
        .as_f64()
        .ok_or_else(|| Error::Extension(format!("EXPLAIN has no cost: {}", plan[0])))
}

pub(super) fn number(text: &str) -> Result<f64> {
    text.parse()
        .map_err(|_| Error::Extension(format!("`{text}` is no number")))
}

//! What is kept, as rows and back.

use serde_json::{Value, json};

use super::orders::Orders;
use super::table::Row;
use crate::alerts::Alert;
use crate::audit::Entry;
use crate::heat::KeptColumn;
use crate::history::{Mark, Point, Step};
use crate::observe::metrics::METRICS;
use crate::observe::{number, time};
use crate::optimizer::Shown;

/// Alerts, entries of the audit, marks, columns of the map of heat, reports of cycles, and what operators have ordered; the steps of the history have kinds of their own.
pub(super) const ALERT: &str = "alert";
pub(super) const AUDIT: &str = "audit";
pub(super) const MARK: &str = "mark";
pub(super) const HEAT: &str = "heat";
pub(super) const CYCLE: &str = "cycle";
pub(super) const ORDERS: &str = "orders";

pub(super) fn of_alert(alert: &Alert) -> Row {
    Row::new(ALERT, alert.id as i64, &alert.at, json!(alert))
}

pub(super) fn of_entry(entry: &Entry) -> Row {
    let Entry { fact, .. } = entry;
    Row::new(AUDIT, fact.seq as i64, &fact.at, json!(entry))
}

pub(super) fn of_mark(mark: &Mark) -> Row {
    Row::new(MARK, mark.id as i64, &mark.at, mark.body())
}

pub(super) fn of_column(column: &KeptColumn) -> Row {
    Row::new(HEAT, column.unix_s, &time(column.unix_s), json!(column))
}

pub(super) fn of_cycle(shown: &Shown) -> Row {
    let report = shown.report.clone();
    Row::new(CYCLE, shown.id as i64, &shown.started_at, report)
}

pub(super) fn of_orders((id, orders): &(i64, Orders), now: &str) -> Row {
    Row::new(ORDERS, *id, now, json!(orders))
}

/// The figures that are known, by name: mean and maximum.
pub(super) fn of_point(step: &Step, point: &Point) -> Row {
    let known = METRICS.iter().enumerate();
    let known = known.filter(|(place, _)| point.mean[*place].is_finite());
    let known = known.map(|(place, metric)| {
        let both = json!([number(point.mean[place]), number(point.max[place])]);
        (metric.name.to_owned(), both)
    });
    let body = Value::Object(known.collect());
    Row::new(step.name, point.unix_s, &time(point.unix_s), body)
}

/// The number of the last row, be it one that can be read or not: what comes next has a larger one. `written` where there is none.
pub(super) fn last_id(rows: &[Row], written: u64) -> u64 {
    let last = rows.last().and_then(|row| u64::try_from(row.id).ok());
    last.unwrap_or(written)
}

/// What cannot be read is left out, here and below: it is of another version, or not ours.
pub(super) fn alerts(rows: &[Row]) -> Vec<Alert> {
    rows.iter()
        .filter_map(|row| Alert::read(&row.body))
        .collect()
}

pub(super) fn entries(rows: &[Row]) -> Vec<Entry> {
    let read = |row: &Row| serde_json::from_value(row.body.clone()).ok();
    rows.iter().filter_map(read).collect()
}

pub(super) fn marks(rows: &[Row]) -> Vec<Mark> {
    let read = |row: &Row| Mark::read(u64::try_from(row.id).ok()?, &row.body);
    rows.iter().filter_map(read).collect()
}

pub(super) fn cycles(rows: &[Row]) -> Vec<Shown> {
    let read = |row: &Row| Shown::read(u64::try_from(row.id).ok()?, &row.body);
    rows.iter().filter_map(read).collect()
}

pub(super) fn columns(rows: &[Row]) -> Vec<KeptColumn> {
    let read = |row: &Row| {
        let mut column: KeptColumn = serde_json::from_value(row.body.clone()).ok()?;
        column.unix_s = row.id;
        Some(column)
    };
    rows.iter().filter_map(read).collect()
}

pub(super) fn orders(row: &Row) -> Orders {
    serde_json::from_value(row.body.clone()).unwrap_or_default()
}

pub(super) fn point(row: &Row) -> Point {
    let figure = |name: &str, which: usize| {
        let kept = row.body.get(name).and_then(|both| both[which].as_f64());
        kept.map_or(f32::NAN, |value| value as f32)
    };
    Point {
        unix_s: row.id,
        mean: METRICS.map(|metric| figure(metric.name, 0)),
        max: METRICS.map(|metric| figure(metric.name, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::STEPS;

    #[test]
    fn a_point_is_read_as_it_was_written_and_what_was_not_known_stays_so() {
        let mut point = Point {
            unix_s: 60,
            mean: [f32::NAN; METRICS.len()],
            max: [f32::NAN; METRICS.len()],
        };
        (point.mean[3], point.max[3]) = (1.5, 2.25);
        let row = of_point(&STEPS[1], &point);
        let read = super::point(&row);
        assert_eq!((read.unix_s, read.mean[3], read.max[3]), (60, 1.5, 2.25));
        assert_eq!(
            read.mean.iter().filter(|value| value.is_finite()).count(),
            1
        );
    }
}

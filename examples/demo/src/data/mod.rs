//! TPC-H rows, made by the crate `tpchgen`: the same on every machine.

mod load;
mod source;

pub use load::load;
pub(crate) use source::Source;

/// The scale of the database's data: 150,000 orders, 600,000 lines.
pub(crate) const SCALE: f64 = 0.1;
/// The scale of what is kept in memory without a database: 15,000 orders, 60,000 lines.
pub(crate) const EMBEDDED_SCALE: f64 = 0.01;

/// How many rows there are of what visitors ask for.
#[derive(Debug, Clone, Copy)]
pub struct Population {
    pub(crate) customers: i64,
    pub(crate) parts: i64,
    pub(crate) orders: i64,
}

impl Population {
    /// Row counts by scale (TPC-H specification, 4.2.5).
    #[must_use]
    pub fn at(scale: f64) -> Self {
        let count = |at_one: f64| (at_one * scale) as i64;
        Self {
            customers: count(150_000.0),
            parts: count(200_000.0),
            orders: count(1_500_000.0),
        }
    }
}

/// The key of the n-th order, from 1: the specification uses 8 of every 32 keys (4.2.3, O_ORDERKEY).
pub(crate) fn order_key(n: i64) -> i64 {
    ((n >> 3) << 5) | (n & 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_keys_are_those_of_the_generator() {
        let source = Source::without_comments(0.001);
        let orders = source.orders();
        let keys: Vec<_> = orders
            .iter()
            .take(100)
            .map(|order| order.o_orderkey)
            .collect();
        assert_eq!(keys, (1..=100).map(order_key).collect::<Vec<_>>());
    }
}

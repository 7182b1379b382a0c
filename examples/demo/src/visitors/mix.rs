//! What visitors ask for: popular things often, rare things seldom (Zipf 1.0), and one in twenty adds an order.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::data::{Population, order_key};

/// How many different things of a kind visitors ask for, at most.
const POPULAR: usize = 1_000;
/// The share of writes.
const WRITES: f64 = 0.05;
/// Words of TPC-H's part names.
const WORDS: [&str; 12] = [
    "almond",
    "azure",
    "blush",
    "chocolate",
    "forest",
    "goldenrod",
    "honeydew",
    "lavender",
    "metallic",
    "peach",
    "snow",
    "turquoise",
];

/// One thing that a visitor does.
#[derive(Debug, Clone, PartialEq)]
pub struct Visit {
    /// The route's template, as the figures name it.
    pub route: &'static str,
    /// What is asked for.
    pub path: String,
    /// The body of a write; none for a read.
    pub body: Option<String>,
}

/// A visitor with a seed of its own: the same visits in every run.
pub struct Visitor {
    random: StdRng,
    zipf: Zipf,
    population: Population,
}

/// Ranks by Zipf's law with exponent 1.
struct Zipf {
    cumulative: Vec<f64>,
}

impl Zipf {
    fn new(ranks: usize) -> Self {
        let mut sum = 0.0;
        let cumulative = (1..=ranks).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Self {
            cumulative: cumulative.collect(),
        }
    }

    /// A rank from 0.
    fn draw(&self, random: &mut StdRng) -> usize {
        let total = self.cumulative.last().copied().unwrap_or(1.0);
        let at = random.random::<f64>() * total;
        self.cumulative
            .partition_point(|sum| *sum < at)
            .min(self.cumulative.len() - 1)
    }
}

impl Visitor {
    /// The visitor of that seed.
    #[must_use]
    pub fn new(seed: u64, population: Population) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            zipf: Zipf::new(POPULAR),
            population,
        }
    }

    /// A key from 1 to `count`: the popular ones are spread over all keys, not the first ones of the table.
    fn key(&mut self, count: i64) -> i64 {
        let rank = self.zipf.draw(&mut self.random) as i64;
        // A prime that divides no table's size: different ranks give different keys.
        1 + (rank * 7_919) % count
    }

    /// What it does next; there is always something.
    pub fn next_visit(&mut self) -> Visit {
        if self.random.random::<f64>() < WRITES {
            return self.write();
        }
        let route = match self.random.random_range(0..100) {
            0..30 => "/orders/{key}",
            30..50 => "/customers/{key}/orders",
            50..70 => "/parts/{key}/sales",
            70..80 => "/orders",
            80..90 => "/search",
            90..95 => "/dashboard/revenue",
            _ => "/dashboard/top-customers",
        };
        self.read(route)
    }

    /// A read of one route.
    pub(crate) fn read(&mut self, route: &'static str) -> Visit {
        let path = match route {
            "/orders/{key}" => format!("/orders/{}", order_key(self.key(self.population.orders))),
            "/customers/{key}/orders" => {
                format!("/customers/{}/orders", self.key(self.population.customers))
            }
            "/parts/{key}/sales" => format!("/parts/{}/sales", self.key(self.population.parts)),
            "/orders" => {
                let day = self.zipf.draw(&mut self.random) % 300;
                format!(
                    "/orders?since=199{}-{:02}-{:02}",
                    4 + day % 3,
                    1 + day / 28 % 12,
                    1 + day % 28
                )
            }
            "/search" => format!(
                "/search?q={}",
                WORDS[self.zipf.draw(&mut self.random) % WORDS.len()]
            ),
            other => other.to_owned(),
        };
        Visit {
            route,
            path,
            body: None,
        }
    }

    fn write(&mut self) -> Visit {
        let customer = self.key(self.population.customers);
        let part = self.key(self.population.parts);
        let quantity = self.random.random_range(1..=50);
        let body = format!(r#"{{"customer": {customer}, "part": {part}, "quantity": {quantity}}}"#);
        Visit {
            route: "POST /orders",
            path: "/orders".to_owned(),
            body: Some(body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::SCALE;

    #[test]
    fn a_seed_gives_the_same_visits_and_another_seed_others() {
        let visits = |seed| {
            let mut visitor = Visitor::new(seed, Population::at(SCALE));
            (0..200).map(|_| visitor.next_visit()).collect::<Vec<_>>()
        };
        assert_eq!(visits(1), visits(1));
        assert_ne!(visits(1), visits(2));
    }

    #[test]
    fn one_in_twenty_writes_and_ranks_follow_zipf() {
        let mut visitor = Visitor::new(7, Population::at(SCALE));
        let writes = (0..20_000)
            .filter(|_| visitor.next_visit().body.is_some())
            .count();
        assert!((800..1_200).contains(&writes), "{writes}");
        let firsts = (0..20_000)
            .filter(|_| visitor.zipf.draw(&mut visitor.random) == 0)
            .count();
        // 1 / H(1000) = 13.36 %
        assert!((2_400..2_950).contains(&firsts), "{firsts}");
    }
}

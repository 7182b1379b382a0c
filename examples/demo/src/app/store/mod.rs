//! Where the service's data live: PostgreSQL, or a small copy in memory.

mod memory;
mod postgres;

use std::sync::Arc;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use self::memory::MemoryStore;
use self::postgres::PostgresStore;
pub(super) use self::postgres::{CONNECTIONS, Pool};
use crate::Failure;

/// The most rows of a list.
pub(crate) const LIST_LIMIT: usize = 50;
/// The most rows of a search's answer.
const SEARCH_LIMIT: usize = 20;

/// Either of the two. A clone is another handle of the same data.
#[derive(Clone)]
pub struct Store(Kind);

#[derive(Clone)]
enum Kind {
    Postgres(PostgresStore),
    Memory(Arc<MemoryStore>),
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum StoreError {
    NotFound,
    Wrong(&'static str),
    Unavailable(&'static str),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotFound => formatter.write_str("there is nothing with this key"),
            Self::Wrong(why) | Self::Unavailable(why) => formatter.write_str(why),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) key: i32,
    pub(crate) customer: i32,
    pub(crate) date: String,
    pub(crate) status: String,
    pub(crate) total: f64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) part: i32,
    pub(crate) quantity: f64,
    pub(crate) price: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct OrderWithLines {
    #[serde(flatten)]
    pub(crate) order: Order,
    pub(crate) lines: Vec<Line>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Sales {
    pub(crate) lines: i64,
    pub(crate) quantity: f64,
    pub(crate) revenue: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Part {
    pub(crate) key: i32,
    pub(crate) name: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Month {
    pub(crate) month: String,
    pub(crate) orders: i64,
    pub(crate) revenue: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct TopCustomer {
    pub(crate) key: i32,
    pub(crate) name: String,
    pub(crate) revenue: f64,
}

/// What `POST /orders` wants.
#[derive(Debug, Deserialize)]
pub(crate) struct NewOrder {
    pub(crate) customer: i32,
    pub(crate) part: i32,
    pub(crate) quantity: i32,
}

/// Calls the same method of whichever store there is.
macro_rules! either {
    ($store:expr, $method:ident($($argument:expr),*)) => {
        match &$store.0 {
            Kind::Postgres(store) => store.$method($($argument),*).await,
            Kind::Memory(store) => store.$method($($argument),*),
        }
    };
}

impl Store {
    /// A small copy of the data in this process.
    #[must_use]
    pub fn memory() -> Self {
        Self(Kind::Memory(Arc::new(MemoryStore::generate())))
    }

    /// A database that has the tables already.
    ///
    /// # Errors
    /// A URL that is none, or a server that does not answer.
    pub async fn connect(url: &str) -> Result<Self, Failure> {
        Ok(Self(Kind::Postgres(PostgresStore::connect(url).await?)))
    }

    pub(super) fn pool(&self) -> Option<Pool> {
        match &self.0 {
            Kind::Postgres(store) => Some(store.pool()),
            Kind::Memory(_) => None,
        }
    }

    pub(crate) async fn order(&self, key: i32) -> Result<OrderWithLines, StoreError> {
        either!(self, order(key))
    }

    pub(crate) async fn customer_orders(&self, key: i32) -> Result<Vec<Order>, StoreError> {
        either!(self, customer_orders(key))
    }

    pub(crate) async fn part_sales(&self, key: i32) -> Result<Sales, StoreError> {
        either!(self, part_sales(key))
    }

    pub(crate) async fn orders_since(&self, since: &str) -> Result<Vec<Order>, StoreError> {
        let since = Date::strptime("%Y-%m-%d", since)
            .map_err(|_| StoreError::Wrong("`since` wants a date such as 1997-06-01"))?;
        either!(self, orders_since(&since.to_string()))
    }

    pub(crate) async fn search(&self, text: &str) -> Result<Vec<Part>, StoreError> {
        // No text of PostgreSQL can hold a NUL; the other three mean something to LIKE.
        let has_others = text.contains(['\0', '%', '_', '\\']);
        if !(3..=40).contains(&text.chars().count()) || has_others {
            return Err(StoreError::Wrong(
                "`q` wants 3 to 40 letters, without %, _, \\ and NUL",
            ));
        }
        either!(self, search(text))
    }

    pub(crate) async fn revenue(&self) -> Result<Vec<Month>, StoreError> {
        either!(self, revenue())
    }

    pub(crate) async fn top_customers(&self) -> Result<Vec<TopCustomer>, StoreError> {
        either!(self, top_customers())
    }

    pub(crate) async fn add_order(&self, new: &NewOrder) -> Result<Order, StoreError> {
        if !(1..=50).contains(&new.quantity) {
            return Err(StoreError::Wrong("`quantity` wants 1 to 50"));
        }
        either!(self, add_order(new))
    }
}

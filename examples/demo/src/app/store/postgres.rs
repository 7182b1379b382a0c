//! The service on PostgreSQL: plain statements through a bb8 pool, as most services have them.

use std::time::Duration;

use bb8_postgres::PostgresConnectionManager;
use pitcrew::latency::{self, Client};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, NoTls};

use super::{
    LIST_LIMIT, Line, Month, NewOrder, Order, OrderWithLines, Part, SEARCH_LIMIT, Sales,
    StoreError, TopCustomer,
};

/// Waits for a connection are measured, as statements are by `Client` below.
pub(crate) type Pool = latency::Pool<bb8::Pool<PostgresConnectionManager<NoTls>>>;

/// The pool's size: fewer than there are visitors, as in life.
pub(crate) const CONNECTIONS: u32 = 4;
/// The longest wait for a connection, where bb8's default is 30 s. Without any index, 16 visitors on two busy cores have
/// their whole answer within 1.5 s: who waits for 5 s waits for a database that is gone, and is told so.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest a statement may take, whoever is to blame. The server's own `statement_timeout` does not help where the
/// server is stopped or the line is dead.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

const ORDER: &str = "SELECT o_orderkey AS key, o_custkey AS customer, o_orderdate::text AS date, \
    o_orderstatus::text AS status, o_totalprice::float8 AS total FROM orders WHERE o_orderkey = $1";
const LINES: &str = "SELECT l_partkey AS part, l_quantity::float8 AS quantity, l_extendedprice::float8 AS price \
    FROM lineitem WHERE l_orderkey = $1 ORDER BY l_linenumber";
const CUSTOMER_ORDERS: &str = "SELECT o_orderkey AS key, o_custkey AS customer, o_orderdate::text AS date, \
    o_orderstatus::text AS status, o_totalprice::float8 AS total FROM orders WHERE o_custkey = $1 \
    ORDER BY o_orderdate DESC, o_orderkey DESC LIMIT $2";
const PART_SALES: &str = "SELECT count(*), coalesce(sum(l_quantity), 0)::float8, \
    coalesce(sum(l_extendedprice * (1 - l_discount)), 0)::float8 FROM lineitem WHERE l_partkey = $1";
const ORDERS_SINCE: &str = "SELECT o_orderkey AS key, o_custkey AS customer, o_orderdate::text AS date, \
    o_orderstatus::text AS status, o_totalprice::float8 AS total FROM orders WHERE o_orderdate >= $1::text::date \
    ORDER BY o_orderdate LIMIT $2";
const SEARCH: &str = "SELECT p_partkey, p_name FROM part WHERE p_name LIKE '%' || $1::text || '%' \
    ORDER BY p_partkey LIMIT $2";
const REVENUE: &str = "SELECT to_char(o_orderdate, 'YYYY-MM'), count(*), sum(o_totalprice)::float8 \
    FROM orders GROUP BY 1 ORDER BY 1 DESC LIMIT 24";
const TOP_CUSTOMERS: &str = "SELECT c_custkey, c_name, sum(o_totalprice)::float8 AS revenue \
    FROM customer JOIN orders ON o_custkey = c_custkey GROUP BY c_custkey, c_name ORDER BY revenue DESC LIMIT 10";
const ADD_ORDER: &str = "WITH part_sold AS (SELECT p_partkey, p_retailprice FROM part WHERE p_partkey = $2), \
    added AS (INSERT INTO orders SELECT nextval('demo_order_key'), c_custkey, 'O', p_retailprice * $3::int, current_date, \
        '3-MEDIUM', 'Clerk#000000001', 0, 'added by a visitor' FROM part_sold, customer WHERE c_custkey = $1 \
        RETURNING o_orderkey, o_custkey, o_orderdate, o_orderstatus, o_totalprice), \
    line AS (INSERT INTO lineitem SELECT o_orderkey, $2, 1, 1, $3::int, o_totalprice, 0, 0, 'N', 'O', o_orderdate, o_orderdate, \
        o_orderdate, 'NONE', 'MAIL', 'added by a visitor' FROM added) \
    SELECT o_orderkey AS key, o_custkey AS customer, o_orderdate::text AS date, o_orderstatus::text AS status, \
        o_totalprice::float8 AS total FROM added";

#[derive(Clone)]
pub(crate) struct PostgresStore {
    pool: Pool,
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        // Class 22, "data exception" (PostgreSQL, appendix A): the visitor's value is at fault, not the database.
        if error
            .code()
            .is_some_and(|state| state.code().starts_with("22"))
        {
            return Self::Wrong("the database has no such value");
        }
        // The visitor learns no detail; whoever runs the service does.
        tracing::error!(%error, cause = error.as_db_error().map(ToString::to_string), "a statement failed");
        Self::Unavailable("the database did not answer")
    }
}

fn order_of(row: &tokio_postgres::Row) -> Result<Order, StoreError> {
    Ok(Order {
        key: row.try_get("key")?,
        customer: row.try_get("customer")?,
        date: row.try_get("date")?,
        status: row.try_get("status")?,
        total: row.try_get("total")?,
    })
}

impl PostgresStore {
    pub(crate) async fn connect(url: &str) -> Result<Self, tokio_postgres::Error> {
        let config: Config = url.parse()?;
        let manager = PostgresConnectionManager::new(config, NoTls);
        let pool = bb8::Pool::builder()
            .max_size(CONNECTIONS)
            .connection_timeout(CONNECTION_TIMEOUT)
            .test_on_check_out(false)
            .build(manager)
            .await?;
        Ok(Self {
            pool: Pool::new(pool),
        })
    }

    pub(crate) fn pool(&self) -> Pool {
        self.pool.clone()
    }

    async fn rows<T>(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
        read: impl Fn(&tokio_postgres::Row) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let connection = self
            .pool
            .get()
            .await
            .map_err(|_| StoreError::Unavailable("no connection was free"))?;
        let client = Client::new(connection);
        let answer = tokio::time::timeout(STATEMENT_TIMEOUT, client.query(sql, parameters));
        let rows = answer
            .await
            .map_err(|_| StoreError::Unavailable("the database took too long"))??;
        rows.iter().map(read).collect()
    }

    pub(crate) async fn order(&self, key: i32) -> Result<OrderWithLines, StoreError> {
        let order = self
            .rows(ORDER, &[&key], order_of)
            .await?
            .pop()
            .ok_or(StoreError::NotFound)?;
        let line = |row: &tokio_postgres::Row| {
            Ok(Line {
                part: row.try_get(0)?,
                quantity: row.try_get(1)?,
                price: row.try_get(2)?,
            })
        };
        Ok(OrderWithLines {
            order,
            lines: self.rows(LINES, &[&key], line).await?,
        })
    }

    pub(crate) async fn customer_orders(&self, key: i32) -> Result<Vec<Order>, StoreError> {
        self.rows(CUSTOMER_ORDERS, &[&key, &(LIST_LIMIT as i64)], order_of)
            .await
    }

    pub(crate) async fn part_sales(&self, key: i32) -> Result<Sales, StoreError> {
        let sales = |row: &tokio_postgres::Row| {
            Ok(Sales {
                lines: row.try_get(0)?,
                quantity: row.try_get(1)?,
                revenue: row.try_get(2)?,
            })
        };
        self.rows(PART_SALES, &[&key], sales)
            .await?
            .pop()
            .ok_or(StoreError::NotFound)
    }

    pub(crate) async fn orders_since(&self, since: &str) -> Result<Vec<Order>, StoreError> {
        self.rows(ORDERS_SINCE, &[&since, &(LIST_LIMIT as i64)], order_of)
            .await
    }

    pub(crate) async fn search(&self, text: &str) -> Result<Vec<Part>, StoreError> {
        let part = |row: &tokio_postgres::Row| {
            Ok(Part {
                key: row.try_get(0)?,
                name: row.try_get(1)?,
            })
        };
        self.rows(SEARCH, &[&text, &(SEARCH_LIMIT as i64)], part)
            .await
    }

    pub(crate) async fn revenue(&self) -> Result<Vec<Month>, StoreError> {
        let month = |row: &tokio_postgres::Row| {
            Ok(Month {
                month: row.try_get(0)?,
                orders: row.try_get(1)?,
                revenue: row.try_get(2)?,
            })
        };
        self.rows(REVENUE, &[], month).await
    }

    pub(crate) async fn top_customers(&self) -> Result<Vec<TopCustomer>, StoreError> {
        let customer = |row: &tokio_postgres::Row| {
            Ok(TopCustomer {
                key: row.try_get(0)?,
                name: row.try_get(1)?,
                revenue: row.try_get(2)?,
            })
        };
        self.rows(TOP_CUSTOMERS, &[], customer).await
    }

    pub(crate) async fn add_order(&self, new: &NewOrder) -> Result<Order, StoreError> {
        let added = self
            .rows(
                ADD_ORDER,
                &[&new.customer, &new.part, &new.quantity],
                order_of,
            )
            .await?;
        added
            .into_iter()
            .next()
            .ok_or(StoreError::Wrong("there is no such customer or part"))
    }
}

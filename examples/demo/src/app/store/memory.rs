//! The service without a database: a small copy of the same data, searched row by row.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use super::{
    LIST_LIMIT, Line, Month, NewOrder, Order, OrderWithLines, Part, SEARCH_LIMIT, Sales,
    StoreError, TopCustomer,
};
use crate::data::{EMBEDDED_SCALE, Source};

/// The keys of orders that visitors add begin here.
const FIRST_NEW_KEY: i32 = 100_000_000;

struct StoredLine {
    order: i32,
    discount: f64,
    line: Line,
}

struct Tables {
    orders: Vec<Order>,
    lines: Vec<StoredLine>,
}

pub(crate) struct MemoryStore {
    tables: RwLock<Tables>,
    parts: Vec<(Part, f64)>,
    customers: Vec<String>,
}

fn number(text: impl std::fmt::Display) -> f64 {
    text.to_string().parse().unwrap_or(0.0)
}

impl MemoryStore {
    pub(crate) fn generate() -> Self {
        let source = Source::without_comments(EMBEDDED_SCALE);
        let orders = source.orders().iter().map(|order| Order {
            key: order.o_orderkey as i32,
            customer: order.o_custkey as i32,
            date: order.o_orderdate.to_string(),
            status: order.o_orderstatus.to_string(),
            total: number(order.o_totalprice),
        });
        let lines = source.lines().iter().map(|line| StoredLine {
            order: line.l_orderkey as i32,
            discount: number(line.l_discount),
            line: Line {
                part: line.l_partkey as i32,
                quantity: number(line.l_quantity),
                price: number(line.l_extendedprice),
            },
        });
        let tables = Tables {
            orders: orders.collect(),
            lines: lines.collect(),
        };
        let parts = source.parts().iter().map(|part| {
            let key = part.p_partkey as i32;
            let name = part.p_name.to_string();
            (Part { key, name }, number(part.p_retailprice))
        });
        let customers = source.customers().iter().map(|one| one.c_name.to_string());
        Self {
            tables: RwLock::new(tables),
            parts: parts.collect(),
            customers: customers.collect(),
        }
    }

    fn tables(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn order(&self, key: i32) -> Result<OrderWithLines, StoreError> {
        let tables = self.tables();
        let order = tables
            .orders
            .iter()
            .find(|order| order.key == key)
            .cloned()
            .ok_or(StoreError::NotFound)?;
        let lines = tables
            .lines
            .iter()
            .filter(|line| line.order == key)
            .map(|line| line.line.clone());
        Ok(OrderWithLines {
            order,
            lines: lines.collect(),
        })
    }

    pub(crate) fn customer_orders(&self, key: i32) -> Result<Vec<Order>, StoreError> {
        let tables = self.tables();
        let mut found: Vec<_> = tables
            .orders
            .iter()
            .filter(|order| order.customer == key)
            .cloned()
            .collect();
        found.sort_by(|a, b| (&b.date, b.key).cmp(&(&a.date, a.key)));
        found.truncate(LIST_LIMIT);
        Ok(found)
    }

    pub(crate) fn part_sales(&self, key: i32) -> Result<Sales, StoreError> {
        let tables = self.tables();
        let lines = tables.lines.iter().filter(|line| line.line.part == key);
        Ok(lines.fold(Sales::default(), |sales, line| Sales {
            lines: sales.lines + 1,
            quantity: sales.quantity + line.line.quantity,
            revenue: sales.revenue + line.line.price * (1.0 - line.discount),
        }))
    }

    pub(crate) fn orders_since(&self, since: &str) -> Result<Vec<Order>, StoreError> {
        let tables = self.tables();
        let mut found: Vec<_> = tables
            .orders
            .iter()
            .filter(|order| order.date.as_str() >= since)
            .collect();
        found.sort_by(|a, b| (&a.date, a.key).cmp(&(&b.date, b.key)));
        Ok(found.into_iter().take(LIST_LIMIT).cloned().collect())
    }

    pub(crate) fn search(&self, text: &str) -> Result<Vec<Part>, StoreError> {
        let found = self
            .parts
            .iter()
            .filter(|(part, _)| part.name.contains(text))
            .take(SEARCH_LIMIT);
        Ok(found
            .map(|(part, _)| Part {
                key: part.key,
                name: part.name.clone(),
            })
            .collect())
    }

    pub(crate) fn revenue(&self) -> Result<Vec<Month>, StoreError> {
        let mut months = BTreeMap::<String, (i64, f64)>::new();
        for order in &self.tables().orders {
            let month = months.entry(order.date[..7].to_owned()).or_default();
            *month = (month.0 + 1, month.1 + order.total);
        }
        let latest = months.into_iter().rev().take(24);
        Ok(latest
            .map(|(month, (orders, revenue))| Month {
                month,
                orders,
                revenue,
            })
            .collect())
    }

    pub(crate) fn top_customers(&self) -> Result<Vec<TopCustomer>, StoreError> {
        let mut revenues = vec![0.0; self.customers.len()];
        for order in &self.tables().orders {
            if let Some(revenue) = revenues.get_mut((order.customer - 1) as usize) {
                *revenue += order.total;
            }
        }
        let mut ranked: Vec<_> = revenues.into_iter().zip(&self.customers).zip(1..).collect();
        ranked.sort_by(|((a, _), _), ((b, _), _)| b.total_cmp(a));
        let top = ranked.into_iter().take(10);
        Ok(top
            .map(|((revenue, name), key)| TopCustomer {
                key,
                name: name.clone(),
                revenue,
            })
            .collect())
    }

    pub(crate) fn add_order(&self, new: &NewOrder) -> Result<Order, StoreError> {
        let part = self.parts.iter().find(|(part, _)| part.key == new.part);
        let is_customer = (1..=self.customers.len() as i32).contains(&new.customer);
        let (Some((_, price)), true) = (part, is_customer) else {
            return Err(StoreError::Wrong("there is no such customer or part"));
        };
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        let last = tables.orders.last().map_or(0, |order| order.key);
        let order = Order {
            key: (last + 1).max(FIRST_NEW_KEY),
            customer: new.customer,
            // The day after the last one of TPC-H: a new order is the newest.
            date: "1998-08-03".to_owned(),
            status: "O".to_owned(),
            total: price * f64::from(new.quantity),
        };
        tables.lines.push(StoredLine {
            order: order.key,
            discount: 0.0,
            line: Line {
                part: new.part,
                quantity: f64::from(new.quantity),
                price: order.total,
            },
        });
        tables.orders.push(order.clone());
        Ok(order)
    }
}

//! The peer: plain Extend (Schlosser, Kossmann and Boissier, ICDE 2019) over HypoPG, as its authors measure it.
//!
//! It starts from nothing, and in each step takes what saves most for the bytes that it adds: an index on one column, or one more
//! column behind those of an index that it has. Every candidate is planned for each query that it touches; what a query costs is kept for
//! the indexes that touch it. Candidates are the columns that queries name: one behind the others may
//! make a look at the table needless.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::time::Instant;

use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Progress, Result, Server};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::prediction::number;
use super::{one, quoted, run};

/// Keys of one index at most, as many as ours have.
const MAX_KEYS: usize = 3;
const MIB: f64 = 1024.0 * 1024.0;

/// What it suggested, and what that took.
pub(super) struct Suggested {
    pub(super) ddl: Vec<String>,
    /// Queries planned.
    pub(super) calls: u64,
    /// From the first call to the last.
    pub(super) seconds: f64,
    /// Of these, inside the planner.
    pub(super) planning_seconds: f64,
    /// HypoPG's.
    pub(super) version: String,
}

/// Where the extension is installed on this machine, it is copied into the server's own tree.
pub(super) fn is_there(server: &Server) -> Result<bool> {
    let copy = |from: &std::path::Path, to: &std::path::Path| -> Result<()> {
        for entry in fs::read_dir(from).map_err(io("list", from))? {
            let path = entry.map_err(io("list", from))?.path();
            let name = path.file_name().unwrap_or_default();
            if name.to_string_lossy().starts_with("hypopg") && path.is_file() {
                fs::copy(&path, to.join(name)).map_err(io("copy", &path))?;
            }
        }
        Ok(())
    };
    if !server.has_extension("hypopg") {
        copy(&server.pg_config.pkglib, &server.pkglib)?;
        copy(
            &server.pg_config.share.join("extension"),
            &server.share.join("extension"),
        )?;
    }
    Ok(server.has_extension("hypopg"))
}

fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io {
        action,
        path,
        source,
    }
}

/// A column: its table's name and its own.
type Column = (String, String);
/// Columns of one table, in order.
type Index = Vec<Column>;

/// Runs it on a connection of its own.
pub(super) async fn suggest(
    client: &Client,
    queries: &[String],
    budget_mb: f64,
    signals: &Signals,
) -> Result<Suggested> {
    run(client, "CREATE EXTENSION IF NOT EXISTS hypopg").await?;
    let version = one(
        client,
        "SELECT extversion FROM pg_extension WHERE extname = 'hypopg'",
    )
    .await?;
    let start = Instant::now();
    let mut search = Search::new(client, queries).await?;
    let columns: BTreeSet<Column> = search.touched.iter().flatten().cloned().collect();
    let mut chosen: Vec<Index> = Vec::new();
    let mut cost = search.cost(&chosen, None, f64::INFINITY).await?;
    let first = cost;
    let budget = budget_mb * MIB;
    loop {
        let mut taken = 0.0;
        for index in &chosen {
            taken += search.bytes(index).await?;
        }
        // The gain for a byte, where the candidate goes, and the cost with it.
        let mut best: Option<(f64, usize, Index, f64)> = None;
        for (place, candidate) in candidates(&chosen, &columns, &search.covered) {
            signals.check()?;
            let before = match chosen.get(place) {
                Some(index) => search.bytes(index).await?,
                None => 0.0,
            };
            let more = search.bytes(&candidate).await? - before;
            if taken + more > budget {
                continue;
            }
            let with = search
                .cost(&chosen, Some((place, &candidate)), cost)
                .await?;
            if with >= cost {
                continue;
            }
            // One more column may fit into what alignment leaves free.
            let gain = (cost - with) / more.max(1.0);
            if best.as_ref().is_none_or(|(most, ..)| gain > *most) {
                best = Some((gain, place, candidate, with));
            }
        }
        let Some((_, place, index, with)) = best else {
            break;
        };
        search.take(&mut chosen, place, index).await?;
        cost = with;
    }
    let mut taken = 0.0;
    for index in &chosen {
        taken += search.bytes(index).await?;
    }
    run(client, "SELECT hypopg_reset()").await?;
    let seconds = start.elapsed().as_secs_f64();
    Progress::Print.say(format!(
        "plain Extend, {budget_mb:.0} MiB: cost {first:.0} to {cost:.0} with {} indexes of {:.0} MiB by HypoPG's sizes, {seconds:.2} s ({:.2} s inside the planner), {} planner calls",
        chosen.len(),
        taken / MIB,
        search.planning_ms / 1e3,
        search.calls
    ));
    Ok(Suggested {
        ddl: chosen.iter().map(|index| ddl(index)).collect(),
        calls: search.calls,
        seconds,
        planning_seconds: search.planning_ms / 1e3,
        version: version.into_iter().next().unwrap_or_default(),
    })
}

/// What could be done next, each with its place: behind all for a new index, else the index that it takes the place of.
fn candidates(
    chosen: &[Index],
    columns: &BTreeSet<Column>,
    covered: &BTreeSet<Column>,
) -> Vec<(usize, Index)> {
    let mut found = Vec::new();
    for column in columns {
        let begins = |index: &Index| index[0] == *column;
        if !covered.contains(column) && !chosen.iter().any(begins) {
            found.push((chosen.len(), vec![column.clone()]));
        }
        for (place, index) in chosen.iter().enumerate() {
            if index.len() < MAX_KEYS && index[0].0 == column.0 && !index.contains(column) {
                let mut longer = index.clone();
                longer.push(column.clone());
                found.push((place, longer));
            }
        }
    }
    found
}

fn ddl(index: &[Column]) -> String {
    let keys: Vec<&str> = index.iter().map(|(_, column)| column.as_str()).collect();
    format!("CREATE INDEX ON {} ({})", index[0].0, keys.join(", "))
}

struct Search<'a> {
    client: &'a Client,
    queries: &'a [String],
    /// Columns that each query names.
    touched: Vec<BTreeSet<Column>>,
    /// Columns that a primary key begins with.
    covered: BTreeSet<Column>,
    /// By query and the indexes that touch it.
    costs: HashMap<(usize, Vec<Index>), f64>,
    sizes: HashMap<Index, f64>,
    /// HypoPG's number of each index that it has now.
    there: BTreeMap<Index, String>,
    calls: u64,
    planning_ms: f64,
}

impl<'a> Search<'a> {
    async fn new(client: &'a Client, queries: &'a [String]) -> Result<Self> {
        let columns = pairs(
            client,
            "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
             WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped",
        )
        .await?;
        let covered = pairs(
            client,
            "SELECT c.relname, a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] WHERE i.indisprimary",
        )
        .await?;
        Ok(Self {
            client,
            queries,
            touched: queries.iter().map(|text| touched(text, &columns)).collect(),
            covered,
            costs: HashMap::new(),
            sizes: HashMap::new(),
            there: BTreeMap::new(),
            calls: 0,
            planning_ms: 0.0,
        })
    }

    /// All queries' cost with the chosen indexes and a candidate in its place; more than `enough` as soon as that is known.
    async fn cost(
        &mut self,
        chosen: &[Index],
        candidate: Option<(usize, &Index)>,
        enough: f64,
    ) -> Result<f64> {
        let mut set = chosen.to_vec();
        if let Some((place, index)) = candidate {
            match set.get_mut(place) {
                Some(old) => old.clone_from(index),
                None => set.push(index.clone()),
            }
        }
        let mut sum = 0.0;
        for query in 0..self.queries.len() {
            let touches = |index: &&Index| {
                index
                    .iter()
                    .any(|column| self.touched[query].contains(column))
            };
            let mut relevant: Vec<Index> = set.iter().filter(touches).cloned().collect();
            relevant.sort();
            let key = (query, relevant);
            let cost = match self.costs.get(&key) {
                Some(cost) => *cost,
                None => {
                    self.let_there_be(&set).await?;
                    let cost = self.plan(query).await?;
                    self.costs.insert(key, cost);
                    cost
                }
            };
            sum += cost;
            if sum >= enough {
                break;
            }
        }
        Ok(sum)
    }

    async fn plan(&mut self, query: usize) -> Result<f64> {
        self.calls += 1;
        let statement = format!("EXPLAIN (FORMAT JSON, SUMMARY) {}", self.queries[query]);
        let plan = one(self.client, &statement).await?;
        let read: serde_json::Value =
            serde_json::from_str(&plan[0]).map_err(|error| Error::Extension(error.to_string()))?;
        let figures = (
            read[0]["Plan"]["Total Cost"].as_f64(),
            read[0]["Planning Time"].as_f64(),
        );
        let (Some(cost), Some(ms)) = figures else {
            return Err(Error::Extension(format!(
                "EXPLAIN has no cost: {}",
                plan[0]
            )));
        };
        self.planning_ms += ms;
        Ok(cost)
    }

    /// Makes HypoPG have these indexes and no others.
    async fn let_there_be(&mut self, set: &[Index]) -> Result<()> {
        let gone: Vec<Index> = self
            .there
            .keys()
            .filter(|index| !set.contains(index))
            .cloned()
            .collect();
        for index in gone {
            if let Some(number) = self.there.remove(&index) {
                run(self.client, &format!("SELECT hypopg_drop_index({number})")).await?;
            }
        }
        for index in set {
            if !self.there.contains_key(index) {
                let made = one(
                    self.client,
                    &format!(
                        "SELECT indexrelid FROM hypopg_create_index({})",
                        quoted(&ddl(index))
                    ),
                )
                .await?;
                self.there.insert(index.clone(), made[0].clone());
            }
        }
        Ok(())
    }

    async fn bytes(&mut self, index: &Index) -> Result<f64> {
        if let Some(bytes) = self.sizes.get(index) {
            return Ok(*bytes);
        }
        let is_there = self.there.contains_key(index);
        if !is_there {
            let mut set: Vec<Index> = self.there.keys().cloned().collect();
            set.push(index.clone());
            self.let_there_be(&set).await?;
        }
        let number_of = &self.there[index];
        let bytes = one(
            self.client,
            &format!("SELECT hypopg_relation_size({number_of})"),
        )
        .await?;
        let bytes = number(&bytes[0])?;
        self.sizes.insert(index.clone(), bytes);
        Ok(bytes)
    }

    async fn take(&mut self, chosen: &mut Vec<Index>, place: usize, index: Index) -> Result<()> {
        match chosen.get_mut(place) {
            Some(old) => *old = index,
            None => chosen.push(index),
        }
        self.let_there_be(chosen).await
    }
}

async fn pairs(client: &Client, statement: &str) -> Result<BTreeSet<Column>> {
    let messages = client.simple_query(statement).await;
    let messages = messages.map_err(|error| super::fault(statement, &error))?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((row.get(0)?.to_owned(), row.get(1)?.to_owned())),
        _ => None,
    });
    Ok(rows.collect())
}

/// Columns that a query names, as the authors' program takes them. A name without a table's is that column of each table of the query.
fn touched(text: &str, columns: &BTreeSet<Column>) -> BTreeSet<Column> {
    let words = words(text);
    let is_table = |word: &str| columns.iter().any(|(table, _)| table == word);
    let mut named: BTreeMap<&str, &str> = BTreeMap::new();
    for (position, word) in words.iter().enumerate() {
        if is_table(word) {
            named.insert(word, word);
            if let Some(alias) = words.get(position + 1) {
                named.insert(alias, word);
            }
        }
    }
    let mut found = BTreeSet::new();
    for (position, word) in words.iter().enumerate().skip(1) {
        let of = match (position.checked_sub(2), words[position - 1].as_str()) {
            (Some(before), ".") => named.get(words[before].as_str()).copied(),
            _ => None,
        };
        let tables: BTreeSet<&str> = match of {
            Some(table) => BTreeSet::from([table]),
            None => named.values().copied().collect(),
        };
        for table in tables {
            let column = (table.to_owned(), word.clone());
            if columns.contains(&column) {
                found.insert(column);
            }
        }
    }
    found
}

/// Names in small letters, and single characters; literals are left out.
fn words(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (position, part) in text.split('\'').enumerate() {
        // Every other part is a literal.
        if position % 2 == 1 {
            continue;
        }
        let mut word = String::new();
        for letter in part.chars().chain([' ']) {
            if letter.is_ascii_alphanumeric() || letter == '_' {
                word.push(letter.to_ascii_lowercase());
                continue;
            }
            if !word.is_empty() {
                found.push(std::mem::take(&mut word));
            }
            if !letter.is_whitespace() {
                found.push(letter.to_string());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(table: &str, name: &str) -> Column {
        (table.to_owned(), name.to_owned())
    }

    #[test]
    fn what_a_query_names_is_found() {
        let columns: BTreeSet<Column> = [
            ("sales", "day"),
            ("sales", "item_id"),
            ("sales", "amount"),
            ("item", "item_id"),
            ("item", "kind"),
        ]
        .map(|(table, name)| column(table, name))
        .into();
        let of = |text: &str| touched(text, &columns);
        let found = of(
            "SELECT d.kind, sum(f.amount) FROM sales f JOIN item d ON d.item_id = f.item_id WHERE f.day > 'item' GROUP BY d.kind",
        );
        assert_eq!(
            found,
            [
                ("item", "item_id"),
                ("item", "kind"),
                ("sales", "amount"),
                ("sales", "day"),
                ("sales", "item_id")
            ]
            .map(|(table, name)| column(table, name))
            .into()
        );
        let nested = of(
            "SELECT 1 FROM item WHERE kind = 1 AND (SELECT avg(amount) FROM sales WHERE day > 1) > 0",
        );
        assert_eq!(
            nested,
            [
                column("item", "kind"),
                column("sales", "amount"),
                column("sales", "day")
            ]
            .into()
        );
    }

    #[test]
    fn an_index_is_begun_or_made_longer_and_no_key_is_covered_again() {
        let columns = ["a", "b", "id"].map(|name| column("t", name)).into();
        let covered = [column("t", "id")].into();
        let chosen = vec![vec![column("t", "a")]];
        let found = candidates(&chosen, &columns, &covered);
        assert_eq!(
            found,
            [
                (1, vec![column("t", "b")]),
                (0, vec![column("t", "a"), column("t", "b")]),
                (0, vec![column("t", "a"), column("t", "id")]),
            ]
        );
    }
}

//! The checks: what a DBA looks at every morning, as one SQL file a check (`../sql/checks/AREA/CHECK.sql`).
//!
//! Plain Rust, no server needed. The extension runs the checks inside the server, `pitcrew-admin` over a plain
//! connection to a server that may not have the extension; both take text, order and verdicts from here.
//!
//! | file | role |
//! |---|---|
//! | `catalogue` | every check and every collection, read from the SQL files |
//! | `header` | the comment at the top of a file: title, needs, thresholds |
//! | `facts` | what a server can do, and why a check is skipped there |
//! | `query` | the text to run: collections as common table expressions, thresholds put in |
//! | `finding` | from a query's rows to the rows of a report |
//! | `plain` | the runner over `tokio-postgres` (feature `client`) |

mod catalogue;
mod facts;
mod finding;
mod header;
#[cfg(feature = "client")]
pub mod plain;
mod query;

pub use catalogue::{Check, Collection, checks, collections_of, find};
pub use facts::{FACTS_QUERY, Facts};
pub use finding::{Finding, MAX_FINDINGS, Raw, assemble, sort};
pub use query::{Thresholds, collection_query, composed, over_registered};

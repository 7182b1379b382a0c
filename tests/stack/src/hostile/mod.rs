//! Random and hostile SQL against a server that has the extension, repeatable by a seed: every function of schema `pitcrew` with arguments
//! that nobody expects, statements over tables of every kind, and sessions that drop, cancel, terminate and reset one another.
//!
//! | file | what it does |
//! |---|---|
//! | `values` | arguments by type |
//! | `queries` | texts for functions that plan what they are given |
//! | `functions` | calls of what `pg_proc` has |
//! | `tables` | the tables that statements are about |
//! | `statements` | queries and changes |
//! | `indexes` | what may stand in `CREATE INDEX` |
//! | `trouble` | DDL, settings, cancels, databases that come and go |
//! | `stream` | what one session sends, of all of these |
//! | `world` | roles and databases; sessions side by side |
//! | `session` | one session, and what it was answered |
//! | `watch` | workers that hold what they should have let go |
//! | `verdict` | what must not have happened, counted |
//!
//! What a session sends depends on its seed and its number alone; what the others do meanwhile is the machine's choice. Nothing of it reaches
//! beyond the server's own cluster.

mod functions;
mod indexes;
mod queries;
mod session;
mod statements;
mod stream;
mod tables;
mod trouble;
mod values;
mod verdict;
mod watch;
mod world;

pub use functions::Function;
pub use session::{Kind, Lost, Trace};
pub use stream::{How, Sent, Stream};
pub use verdict::Verdict;
pub use world::{SETTINGS, World};

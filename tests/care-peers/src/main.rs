//! One pass over the queries of rust-pg-extras that pitcrew has a check for too, and what it took in milliseconds.
//!
//! The only argument is the server's URL. A pass goes before the one that is timed, so that both are warm.

use std::error::Error;
use std::time::Instant;

use pg_extras::{
    bloat, blocking, cache_hit, calls, duplicate_indexes, index_cache_hit,
    long_running_queries, null_indexes, outliers, seq_scans, table_cache_hit,
    unused_indexes, vacuum_stats,
};
use sqlx::postgres::PgPoolOptions;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("which server?")?;
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect(&url)
        .await?;
    for is_timed in [false, true] {
        let begin = Instant::now();
        bloat(&pool).await?;
        blocking(None, &pool).await?;
        cache_hit(None, &pool).await?;
        calls(None, &pool).await?;
        duplicate_indexes(&pool).await?;
        index_cache_hit(None, &pool).await?;
        long_running_queries(&pool).await?;
        null_indexes(None, &pool).await?;
        outliers(&pool).await?;
        seq_scans(None, &pool).await?;
        table_cache_hit(&pool).await?;
        unused_indexes(None, &pool).await?;
        vacuum_stats(&pool).await?;
        if is_timed {
            println!("{}", begin.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(())
}

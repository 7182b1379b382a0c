//! The story: what pitcrew does for this service, told as it happens and measured from outside. One file an act.

mod admin;
mod cached;
mod figures;
mod indexes;
mod operations;
mod orders;
mod predicted;
mod setup;
mod statements;
mod visits;

use std::time::Instant;

use self::admin::Operator;
pub use self::figures::Verdict;
use crate::Failure;
use crate::app::{App, Setup};
use crate::args::Args;
use crate::data::{EMBEDDED_SCALE, Population, SCALE};
use crate::visitors;

/// What the service is started with: the database is filled first, where there is one.
///
/// # Errors
/// Which server cannot be used, and why.
pub async fn prepare(args: &Args) -> Result<Setup, Failure> {
    setup::prepare(args, Instant::now()).await
}

/// The service, those who come to it, and what is told of them.
pub struct Story {
    begin: Instant,
    setup: Setup,
    app: App,
    operator: Operator,
    population: Population,
}

fn say(begin: Instant, sentence: &str) {
    println!("[{:5.1} s] {sentence}", begin.elapsed().as_secs_f64());
}

impl Story {
    /// Fills the database, starts the service.
    ///
    /// # Errors
    /// Which server cannot be used, and why.
    pub async fn begin(args: &Args) -> Result<Self, Failure> {
        let begin = Instant::now();
        let setup = setup::prepare(args, begin).await?;
        let app = App::start(&setup).await?;
        let scale = match &setup.database_url {
            Some(_) => SCALE,
            None => EMBEDDED_SCALE,
        };
        let story = Self {
            begin,
            operator: Operator::new(app.address, &app.token),
            population: Population::at(scale),
            setup,
            app,
        };
        story.say(format!(
            "The service listens on http://{}.",
            story.app.address
        ));
        Ok(story)
    }

    /// The service, which goes on after the story.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    fn has_database(&self) -> bool {
        self.setup.database_url.is_some()
    }

    fn has_redis(&self) -> bool {
        self.setup.redis_url.is_some()
    }

    fn say(&self, sentence: impl AsRef<str>) {
        say(self.begin, sentence.as_ref());
    }

    /// Every act, in order. A figure that misses its bar is a failed check.
    ///
    /// # Errors
    /// The act that could not be played.
    pub async fn tell(&self) -> Result<Verdict, Failure> {
        let mut verdict = Verdict::default();
        verdict.figures.mode = match (self.has_database(), self.has_redis()) {
            (true, true) => "full",
            (true, false) => "no redis",
            (false, true) => "no database",
            (false, false) => "no database, no redis",
        }
        .to_owned();
        self.guard(&mut verdict).await?;

        let (before, waited_before) = self.act(true).await?;
        self.say(format!(
            "Before: {} visitors past the cache, {:.0} requests/s, p50 {:.1} ms, p99 {:.1} ms.",
            visitors::VISITORS,
            before.rate_per_s(),
            before.reads.quantile_ms(0.5),
            before.reads.quantile_ms(0.99)
        ));
        verdict.figures.p50_before_ms = Some(before.reads.quantile_ms(0.5));
        verdict.figures.p99_before_ms = Some(before.reads.quantile_ms(0.99));
        self.slowest(&before, &mut verdict).await?;

        let mut indexed = None;
        if self.has_database() {
            self.indexes(&mut verdict).await?;
            let (seen, _) = self.act(true).await?;
            self.say(format!(
                "With the indexes: {:.0} requests/s, p50 {:.1} ms, p99 {:.1} ms, still past the cache.",
                seen.rate_per_s(),
                seen.reads.quantile_ms(0.5),
                seen.reads.quantile_ms(0.99)
            ));
            verdict.figures.p50_indexed_ms = Some(seen.reads.quantile_ms(0.5));
            verdict.figures.p99_indexed_ms = Some(seen.reads.quantile_ms(0.99));
            indexed = Some(seen);
        }
        let warm = self
            .cached(&before, indexed.as_ref(), waited_before, &mut verdict)
            .await?;
        // At once: what visitors have just asked for is still fresh.
        self.second_instance(&mut verdict).await?;
        self.routes(&before, indexed.as_ref(), &warm);
        let errors = before.errors + warm.errors + indexed.as_ref().map_or(0, |seen| seen.errors);
        verdict.check(
            "no visitor saw an error",
            errors == 0,
            format!("{errors} errors"),
        );

        self.write_and_read(&mut verdict).await?;
        self.live(&mut verdict).await?;
        self.load_test(&mut verdict).await?;
        self.memory(&mut verdict).await?;
        self.overview(&mut verdict).await?;
        verdict.figures.demo_seconds = self.begin.elapsed().as_secs_f64();
        Ok(verdict)
    }
}

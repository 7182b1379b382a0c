//! What the command line says.

use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: demo [--database-url URL | --no-db] [--redis-url URL | --no-redis] [--check] [--json FILE]

  --database-url URL  an empty PostgreSQL database in which pg_stat_statements and pg_pitcrew exist
  --redis-url URL     a Redis or Valkey server
  --no-db, --no-redis run on the embedded defaults (also without any argument)
  --check             assert each step, then end: exit code 0 or 1
  --json FILE         write the figures there";

/// Where the demo runs, and how it ends.
#[derive(Debug, Default)]
pub(crate) struct Args {
    pub(crate) database_url: Option<String>,
    pub(crate) redis_url: Option<String>,
    pub(crate) check: bool,
    pub(crate) json: Option<PathBuf>,
}

impl Args {
    /// # Errors
    /// A sentence that names the argument that is wrong.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut args = Self::default();
        let (mut no_db, mut no_redis) = (false, false);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| format!("{argument} wants a value"))
            };
            match argument.as_str() {
                "--database-url" => args.database_url = Some(value()?),
                "--redis-url" => args.redis_url = Some(value()?),
                "--json" => args.json = Some(PathBuf::from(value()?)),
                "--no-db" => no_db = true,
                "--no-redis" => no_redis = true,
                "--check" => args.check = true,
                other => return Err(format!("{other} is not an argument")),
            }
        }
        if no_db && args.database_url.is_some() || no_redis && args.redis_url.is_some() {
            return Err("a URL and the wish to do without it contradict each other".to_owned());
        }
        Ok(args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_arguments_are_named() {
        let parse = |text: &str| Args::parse(text.split_whitespace().map(str::to_owned));
        assert!(parse("--check --no-db --no-redis").is_ok());
        assert!(parse("--chek").is_err_and(|error| error.contains("--chek")));
        assert!(parse("--json").is_err_and(|error| error.contains("--json")));
        assert!(parse("--no-db --database-url x").is_err());
    }
}

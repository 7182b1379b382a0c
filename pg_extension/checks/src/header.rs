//! The comment at the top of a check's file.
//!
//! ```sql
//! -- title: Index that no query has used
//! -- uses: indexes
//! -- needs: setting track_counts
//! -- default: min_bytes = 1048576
//! -- on request: it reads every page
//! -- looked at: SELECT count(*) || ' indexes' FROM indexes
//! SELECT ...
//! ```

use std::collections::BTreeMap;
use std::fmt;

/// Something without which a check cannot look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Need {
    /// At least this major version.
    Version(u32),
    /// An extension in this database.
    Extension(String),
    /// A predefined role whose rights the current role has.
    Role(String),
    /// A setting that is neither off nor 0.
    Setting(String),
    /// `pg_statistic`, or `pg_stats` with the right to read every table.
    ColumnStatistics,
    /// A server that takes writes.
    Primary,
    /// A server in recovery.
    Standby,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(from) => write!(f, "version {from}"),
            Self::Extension(name) => write!(f, "extension {name}"),
            Self::Role(name) => write!(f, "role {name}"),
            Self::Setting(name) => write!(f, "setting {name}"),
            Self::ColumnStatistics => f.write_str("column statistics"),
            Self::Primary => f.write_str("primary"),
            Self::Standby => f.write_str("standby"),
        }
    }
}

/// A file of SQL with its header read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parsed {
    pub(crate) title: String,
    pub(crate) uses: Vec<String>,
    pub(crate) needs: Vec<Need>,
    pub(crate) defaults: BTreeMap<String, f64>,
    pub(crate) looked_at: String,
    /// Why it costs too much for a report; empty where a report runs it.
    pub(crate) on_request: String,
    /// `(from, text)`, ascending: the last whose `from` the server reaches is its own.
    pub(crate) variants: Vec<(Variant, String)>,
}

/// For whom a text in the file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Servers from this major version on; 0 for all.
    Version(u32),
    /// Roles that may not read `pg_statistic`.
    WithoutStatistic,
}

/// Reads a file.
///
/// # Errors
/// A line of the header that means nothing, as a sentence.
pub(crate) fn parse(text: &str) -> Result<Parsed, String> {
    let mut parsed = Parsed::default();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next_if(|line| line.starts_with("-- ")) {
        let (key, value) = line[3..]
            .split_once(':')
            .ok_or_else(|| format!("the header line `{line}` has no colon"))?;
        let value = value.trim();
        match key {
            "title" => parsed.title = value.to_owned(),
            "uses" => parsed.uses = words(value),
            "needs" => {
                parsed.needs = words(value)
                    .iter()
                    .map(|word| need(word))
                    .collect::<Result<_, _>>()?
            }
            "default" => {
                let (name, number) = value
                    .split_once('=')
                    .ok_or_else(|| format!("the default `{value}` has no value"))?;
                let number = number
                    .trim()
                    .parse()
                    .map_err(|_| format!("the default `{value}` is no number"))?;
                parsed.defaults.insert(name.trim().to_owned(), number);
            }
            "on request" => parsed.on_request = value.to_owned(),
            "looked at" => parsed.looked_at = value.to_owned(),
            _ => return Err(format!("the header key `{key}` is unknown")),
        }
    }
    parsed.variants.push((Variant::Version(0), String::new()));
    for line in lines {
        if let Some(version) = line.strip_prefix("-- from version ") {
            let version = version
                .trim()
                .parse()
                .map_err(|_| format!("`{line}` names no version"))?;
            parsed
                .variants
                .push((Variant::Version(version), String::new()));
        } else if line == "-- without pg_statistic" {
            parsed
                .variants
                .push((Variant::WithoutStatistic, String::new()));
        } else if let Some((_, text)) = parsed.variants.last_mut() {
            text.push_str(line);
            text.push('\n');
        }
    }
    Ok(parsed)
}

fn words(value: &str) -> Vec<String> {
    value
        .split(',')
        .map(|word| word.trim().to_owned())
        .collect()
}

fn need(text: &str) -> Result<Need, String> {
    let name = |name: &str| name.to_owned();
    Ok(match text.split_once(' ') {
        Some(("version", number)) => Need::Version(
            number
                .parse()
                .map_err(|_| format!("`{text}` names no version"))?,
        ),
        Some(("extension", rest)) => Need::Extension(name(rest)),
        Some(("role", rest)) => Need::Role(name(rest)),
        Some(("setting", rest)) => Need::Setting(name(rest)),
        _ if text == "column statistics" => Need::ColumnStatistics,
        _ if text == "primary" => Need::Primary,
        _ if text == "standby" => Need::Standby,
        _ => return Err(format!("nobody can tell whether `{text}` is there")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_and_the_rest_is_sql() {
        let parsed = parse(
            "-- title: A thing\n-- uses: relations, indexes\n-- needs: version 16, extension x, column statistics\n\
             -- default: most = 1.5\n-- looked at: SELECT '1 thing'\nSELECT 1\n-- from version 17\nSELECT 2\n",
        )
        .unwrap();
        assert_eq!(parsed.title, "A thing");
        assert_eq!(parsed.uses, ["relations", "indexes"]);
        assert_eq!(
            parsed.needs,
            [
                Need::Version(16),
                Need::Extension("x".into()),
                Need::ColumnStatistics
            ]
        );
        assert_eq!(parsed.defaults["most"], 1.5);
        assert_eq!(parsed.variants[0].1, "SELECT 1\n");
        assert_eq!(
            parsed.variants[1],
            (Variant::Version(17), "SELECT 2\n".into())
        );
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in [
            "-- titel: x\n",
            "-- no colon\n",
            "-- needs: magic\n",
            "-- needs: version x\n",
            "-- default: x\n",
            "-- default: x = y\n",
            "-- title: x\nSELECT 1\n-- from version x\n",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

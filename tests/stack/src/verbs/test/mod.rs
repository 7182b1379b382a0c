//! `test`: every check of the project, in one order, with one count at the end.

mod libtest;
mod promises;
mod report;
mod steps;

use std::process::ExitCode;

use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, PgConfig, Progress, Result, find_or_fetch_major, find_or_fetch_newest};

use super::{child, unknown};
use report::Report;
use steps::{Run, Which};

/// What tests keep for whoever wants a look, and its folder below `target/pitcrew`.
const KEPT: [(&str, &str); 2] = [
    ("Pictures of the dashboard", "dashboard"),
    ("What the API's client said", "api"),
];

/// Which server the tests run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Server {
    /// The one that is installed.
    #[default]
    Installed,
    /// The newest one that can be had.
    Newest,
    Major(u32),
}

/// What the command line asks for.
#[derive(Clone, Debug, Default)]
struct Arguments {
    strict: bool,
    /// The extension's tests alone.
    extension: bool,
    server: Server,
    filter: Option<String>,
}

impl Arguments {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut parsed = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "-y" => {}
                "--strict" => parsed.strict = true,
                "--extension" => parsed.extension = true,
                "--pg" => {
                    let wanted = rest.next().map(String::as_str);
                    parsed.server = match wanted {
                        Some("newest") => Some(Server::Newest),
                        other => other
                            .and_then(|number| number.parse().ok())
                            .map(Server::Major),
                    }
                    .ok_or_else(|| {
                        Error::Usage(
                            "test: --pg takes a major version, as in --pg 17, or newest".into(),
                        )
                    })?;
                }
                other if other.starts_with('-') => return Err(unknown("test", other)),
                other if parsed.filter.is_none() => parsed.filter = Some(other.to_owned()),
                other => {
                    return Err(Error::Usage(format!(
                        "test: one filter at a time, `{other}` is a second one"
                    )));
                }
            }
        }
        if parsed.extension && parsed.filter.is_some() {
            return Err(Error::Usage(
                "test: --extension runs all of the extension's tests, and takes no filter".into(),
            ));
        }
        Ok(parsed)
    }
}

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let arguments = Arguments::parse(arguments)?;
    let signals = Signals::install()?;
    let root = pitcrew_stack::checkout();
    let pg_config = match arguments.server {
        Server::Major(major) => find_or_fetch_major(&root, major, Progress::Print)?,
        Server::Newest => find_or_fetch_newest(&root, Progress::Print)?,
        Server::Installed => PgConfig::find()?,
    };
    let kept = KEPT.map(|(what, name)| (what, child::target_dir(&root).join("pitcrew").join(name)));
    for (_, folder) in &kept {
        // What an earlier run left would pass for this one's.
        let _ = std::fs::remove_dir_all(folder);
    }
    let mut report = Report::new(arguments.strict);
    let mut run = Run {
        root: &root,
        pg_config: &pg_config,
        signals: &signals,
        report: &mut report,
    };
    match &arguments.filter {
        Some(filter) => run.tests(Which::Named(filter))?,
        None if arguments.extension => run.tests(Which::Extension)?,
        None => run.everything()?,
    }
    print!("{}", report.summary());
    for (what, folder) in kept.iter().filter(|(_, folder)| folder.is_dir()) {
        println!("{what}: {}", folder.display());
    }
    Ok(if report.is_green() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_understood_or_refused() {
        let parse = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            Arguments::parse(&words)
        };
        let all = parse(&["-y", "--strict", "--pg", "17", "cache"]).unwrap();
        assert!(all.strict);
        assert_eq!(
            (all.server, all.filter.as_deref()),
            (Server::Major(17), Some("cache"))
        );
        let newest = parse(&["--pg", "newest", "--extension"]).unwrap();
        assert!(newest.extension && newest.server == Server::Newest);
        for wrong in [
            &["--pg"][..],
            &["--pg", "x"],
            &["--fast"],
            &["a", "b"],
            &["--extension", "a"],
        ] {
            assert_eq!(parse(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
    }
}

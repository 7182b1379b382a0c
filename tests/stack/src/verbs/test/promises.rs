//! `docs/promises.toml`: what the product promises, each with the tests that hold it to that.

use std::path::Path;

use pitcrew_stack::{Error, Result};
use serde::Deserialize;

use super::report::Report;

/// Heads the column of a page's table that holds promises: each row is one, and nothing else is.
const COLUMN: &str = "| promise |";

/// The file below the checkout.
pub(super) const FILE: &str = "docs/promises.toml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Promises {
    #[serde(default)]
    promise: Vec<Promise>,
}

/// One promise.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Promise {
    /// What is promised, in one sentence.
    feature: String,
    /// The page that promises it, from the checkout's root.
    page: String,
    /// `BINARY::PATH` of its tests, as the run names them.
    tests: Vec<String>,
}

/// What is wrong: promises without tests, tests that did not run or pass, pages that are not there or say
/// something else.
pub(super) fn broken(root: &Path, report: &Report) -> Result<Vec<String>> {
    let path = root.join(FILE);
    let text = std::fs::read_to_string(&path).map_err(|source| Error::Io {
        action: "read",
        path: path.clone(),
        source,
    })?;
    let promises: Promises = toml::from_str(&text).map_err(|error| Error::Format {
        path,
        detail: error.to_string(),
    })?;
    Ok(check(
        &promises,
        &|page| std::fs::read_to_string(root.join(page)).ok(),
        report,
    ))
}

fn check(
    promises: &Promises,
    text_of: &dyn Fn(&str) -> Option<String>,
    report: &Report,
) -> Vec<String> {
    let mut broken = Vec::new();
    if promises.promise.is_empty() {
        broken.push(format!("{FILE} promises nothing"));
    }
    for promise in &promises.promise {
        let (feature, tests, page) = (&promise.feature, &promise.tests, promise.page());
        match text_of(page) {
            None => broken.push(format!(
                "promise `{feature}`: its page {page} does not exist"
            )),
            Some(text) if !text.contains(feature.as_str()) => broken.push(format!(
                "promise `{feature}`: its page {page} does not say so; copy the sentence into its feature table"
            )),
            Some(_) => {}
        }
        if tests.is_empty() {
            broken.push(format!("promise `{feature}`: no test is named"));
        }
        for test in tests {
            if !report.has_passed(test) && !report.is_excused(test) {
                broken.push(format!(
                    "promise `{feature}`: test `{test}` does not exist, was not run, or failed"
                ));
            }
        }
    }
    let mut pages: Vec<&str> = promises.promise.iter().map(Promise::page).collect();
    pages.sort_unstable();
    pages.dedup();
    for page in pages {
        for row in rows(&text_of(page).unwrap_or_default()) {
            let is_listed = |promise: &Promise| promise.page() == page && promise.feature == row;
            if !promises.promise.iter().any(is_listed) {
                broken.push(format!(
                    "{page} promises `{row}`, which {FILE} does not list with its tests"
                ));
            }
        }
    }
    broken
}

impl Promise {
    /// Without its anchor.
    fn page(&self) -> &str {
        self.page.split('#').next().unwrap_or(&self.page)
    }
}

/// The rows of a page's tables of promises.
fn rows(text: &str) -> Vec<&str> {
    let mut rows = Vec::new();
    let mut is_inside = false;
    for line in text.lines().map(str::trim) {
        if line == COLUMN {
            is_inside = true;
        } else if !line.starts_with('|') {
            is_inside = false;
        } else if is_inside && !line.starts_with("|-") {
            rows.push(line.trim_matches('|').trim());
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What only a whole run would tell otherwise, at its end.
    #[test]
    fn pages_and_sources_have_what_the_file_names() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text = std::fs::read_to_string(root.join(FILE)).unwrap();
        let promises: Promises = toml::from_str(&text).unwrap();
        let mut sources = String::new();
        for folder in ["middleware", "pg_extension", "admin", "examples", "tests"] {
            read_sources(&root.join(folder), &mut sources);
        }
        let mut report = Report::new(true);
        for test in promises.promise.iter().flat_map(|promise| &promise.tests) {
            let (binary, name) = test.split_once("::").unwrap();
            let name = name.rsplit("::").next().unwrap();
            report.check(
                test,
                binary == "doc" || sources.contains(&format!("fn {name}(")),
            );
        }
        let of_page = |page: &str| std::fs::read_to_string(root.join(page)).ok();
        assert_eq!(check(&promises, &of_page, &report), Vec::<String>::new());
    }

    fn read_sources(folder: &Path, into: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                read_sources(&path, into);
            } else if path.extension().is_some_and(|end| end == "rs") {
                into.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }

    #[test]
    fn a_row_of_a_page_needs_a_promise() {
        let mut report = Report::new(true);
        report.check("a::ran", true);
        let promises =
            toml::from_str("[[promise]]\nfeature = 'x'\npage = 'p.md#t'\ntests = ['a::ran']")
                .unwrap();
        let of = |page: &str| check(&promises, &|_| Some(page.to_owned()), &report);
        let none = Vec::<String>::new();
        assert_eq!(
            of("| promise |\n|---|\n| x |\n\n| other |\n|---|\n| y |\n"),
            none
        );
        assert_eq!(of("| promise |\n|---|\n| x |\n| y |\n").len(), 1);
    }

    #[test]
    fn a_promise_needs_a_page_and_tests_that_ran() {
        let mut report = Report::new(true);
        report.check("a::ran", true);
        report.check("a::failed", false);
        let of = |text: &str| {
            check(
                &toml::from_str(text).unwrap(),
                &|page| (page == "README.md").then(|| "it promises x".to_owned()),
                &report,
            )
        };
        let promise = |page: &str, tests: &str| {
            format!("[[promise]]\nfeature = 'x'\npage = '{page}'\ntests = [{tests}]\n")
        };
        assert_eq!(
            of(&promise("README.md#features", "'a::ran'")),
            Vec::<String>::new()
        );
        assert_eq!(of(&promise("gone.md", "'a::ran'")).len(), 1);
        let unsaid = promise("README.md", "'a::ran'").replace("'x'", "'y'");
        assert_eq!(of(&unsaid).len(), 1);
        assert_eq!(of(&promise("README.md", "")).len(), 1);
        assert_eq!(
            of(&promise("README.md", "'a::failed', 'a::never', 'a::ran'")).len(),
            2
        );
        assert_eq!(of("").len(), 1);
        assert!(
            toml::from_str::<Promises>("[[promise]]\nfeature = 'x'\npages = 'y'\ntests = []")
                .is_err()
        );
    }
}

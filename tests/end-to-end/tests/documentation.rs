//! What the pages show is true: their SQL runs as it stands there, and what they name exists.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use pitcrew_stack::{require, testing};

const PAGES: [(&str, &str); 7] = [
    ("README.md", include_str!("../../../README.md")),
    ("CHANGELOG.md", include_str!("../../../CHANGELOG.md")),
    ("docs/advice.md", ADVICE),
    ("docs/capture.md", CAPTURE),
    ("docs/database.md", DATABASE),
    ("docs/history.md", HISTORY),
    ("docs/maintenance.md", MAINTENANCE),
];
/// These name tests and constants.
const ADMIN: &str = include_str!("../../../docs/admin.md");
const ADVICE: &str = include_str!("../../../docs/advice.md");
const CAPTURE: &str = include_str!("../../../docs/capture.md");
const CACHE: &str = include_str!("../../../docs/cache.md");
const HISTORY: &str = include_str!("../../../docs/history.md");
const MAINTENANCE: &str = include_str!("../../../docs/maintenance.md");
const DATABASE: &str = include_str!("../../../docs/database.md");
/// What the examples take for granted: no extension yet, a table, a role.
const GIVEN: [&str; 3] = [
    "DROP EXTENSION pg_pitcrew",
    "CREATE TABLE public.orders (id int, customer int)",
    "DO $$ BEGIN CREATE ROLE app; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
];

/// The statements of a page's `sql` blocks; an indented block belongs to a list.
fn statements(page: &str) -> Vec<String> {
    let blocks = page.split("```sql\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split("```").next());
    blocks
        .flat_map(|block| block.split(';'))
        .map(|statement| statement.trim().to_owned())
        .filter(|statement| !statement.is_empty())
        .collect()
}

#[test]
fn the_sql_of_the_pages_runs() {
    require!(database, extension, statements);
    for (name, page) in PAGES {
        let statements = statements(page);
        assert!(statements.len() >= 4, "{name} shows SQL: {statements:?}");
        let database = testing::database();
        database.run(&GIVEN);
        for statement in &statements {
            // A failing statement panics with the server's message.
            database.run(&[statement]);
        }
    }
}

/// The tests and constants of the workspace, each under every part of its file's path: `(file, name)`.
#[derive(Default)]
struct Sources {
    tests: BTreeSet<(String, String)>,
    /// With what stands between `=` and `;`.
    constants: BTreeMap<(String, String), String>,
}

impl Sources {
    fn read(root: &Path) -> Self {
        let mut sources = Self::default();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if path.is_dir() && name != "target" && !name.starts_with('.') {
                    folders.push(path);
                } else if name.ends_with(".rs") {
                    sources.add(root, &path);
                }
            }
        }
        sources
    }

    fn add(&mut self, root: &Path, path: &Path) {
        let text = fs::read_to_string(path).unwrap();
        let parts: Vec<String> = path
            .strip_prefix(root)
            .unwrap()
            .with_extension("")
            .components()
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            // A file of its own for the tests of a module.
            .map(|part| part.strip_suffix("_tests").unwrap_or(&part).to_owned())
            .collect();
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                is_test = true;
            } else if let Some(name) = between(line, "fn ", "(") {
                if std::mem::take(&mut is_test) {
                    let names = parts.iter().map(|part| (part.clone(), name.to_owned()));
                    self.tests.extend(names);
                }
            } else if let Some(name) = between(line, "const ", ":")
                && let Some(value) = between(line, " = ", ";")
            {
                let names = parts.iter().map(|part| (part.clone(), name.to_owned()));
                self.constants
                    .extend(names.map(|name| (name, value.to_owned())));
            }
        }
    }
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    Some(text.split_once(begin)?.1.split_once(end)?.0)
}

/// What a page cites: code that is `file::name`, with small letters for a test and capitals for a constant.
fn citations(page: &str) -> Vec<(String, String)> {
    let codes = page.split('`').skip(1).step_by(2);
    let citations = codes.filter_map(|code| {
        let (file, name) = code.split_once("::")?;
        let is_word = |word: &str| {
            let mut bytes = word.bytes();
            bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let is_small = |word: &str| word.to_lowercase() == word;
        let is_cited = is_word(file) && is_word(name) && is_small(file) && file != "pitcrew";
        is_cited.then(|| (file.to_owned(), name.to_owned()))
    });
    citations.collect()
}

/// A constant's value: whole numbers, shifted, multiplied or as a duration, which counts in milliseconds.
fn value(expression: &str) -> Option<u64> {
    let number = |text: &str| text.trim().replace('_', "").parse::<u64>().ok();
    let product = |text: &str| text.split('*').map(number).product::<Option<u64>>();
    if let Some(seconds) = between(expression, "from_secs(", ")") {
        return Some(product(seconds)? * 1_000);
    }
    if let Some(ms) = between(expression, "from_millis(", ")") {
        return product(ms);
    }
    match expression.split_once("<<") {
        Some((number_of, by)) => Some(number(number_of)? << number(by)?),
        None => product(expression),
    }
}

/// A value as the page writes it: `64 MiB`, `250 ms`, `1,024`.
fn written(cell: &str) -> Option<u64> {
    let (number, unit) = cell.split_once(' ').unwrap_or((cell, ""));
    let unit = match unit {
        "" | "ms" => 1,
        "s" => 1_000,
        "h" => 3_600_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return None,
    };
    Some(number.replace(',', "").parse::<u64>().ok()? * unit)
}

/// What is wrong with a page's citations.
fn wrong(page: &str, sources: &Sources) -> Vec<String> {
    let mut wrong = Vec::new();
    for cited in citations(page) {
        let is_there = sources.tests.contains(&cited) || sources.constants.contains_key(&cited);
        if !is_there {
            wrong.push(format!("{}::{} does not exist", cited.0, cited.1));
        }
    }
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, said, ..] = cells.as_slice() else {
            continue;
        };
        // A row of the table of bounds has a constant alone in its first cell.
        let code = name
            .strip_prefix('`')
            .and_then(|name| name.strip_suffix('`'));
        let Some(cited) = code.and_then(|_| citations(name).pop()) else {
            continue;
        };
        if let Some(source) = sources.constants.get(&cited)
            && (written(said).is_none() || written(said) != value(source))
        {
            wrong.push(format!("{name} is {source}, not {said}"));
        }
    }
    wrong
}

#[test]
fn the_tests_and_bounds_that_the_pages_name_exist() {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let sources = Sources::read(&root.canonicalize().unwrap());
    for (page, least) in [
        (ADMIN, 1),
        (ADVICE, 0),
        (CACHE, 120),
        (CAPTURE, 18),
        (DATABASE, 120),
        (HISTORY, 8),
        (MAINTENANCE, 3),
    ] {
        assert!(citations(page).len() > least, "{:?}", citations(page));
        assert_eq!(wrong(page, &sources), Vec::<String>::new());
    }
}

#[test]
fn every_check_of_the_database_has_a_row_with_a_test() {
    let rows: BTreeMap<&str, &str> = DATABASE
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let [_, name, title, .., test, _] = cells.as_slice() else {
                return None;
            };
            (cells.len() == 12 && !citations(test).is_empty()).then_some((*name, *title))
        })
        .collect();
    let checks: BTreeMap<&str, &str> = pg_pitcrew_checks::checks()
        .iter()
        .map(|check| (check.name, check.title()))
        .collect();
    assert_eq!(rows, checks);
    assert!(DATABASE.contains(&format!("{} checks.", checks.len())));
}

#[test]
fn a_wrong_name_or_value_on_a_page_is_found() {
    let mut sources = Sources::default();
    let name = |name: &str| ("store".to_owned(), name.to_owned());
    sources.tests.insert(name("it_holds"));
    sources
        .constants
        .insert(name("MAX_AGE"), "Duration::from_secs(60 * 60)".into());
    sources.constants.insert(name("BYTES"), "32 << 10".into());
    let of = |page: &str| wrong(page, &sources).len();
    let right = "`store::it_holds`, `Region::ttl`, `pitcrew::cache`\n\
        | `store::MAX_AGE` | 1 h |\n| `store::BYTES` | 32 KiB |\n| `store::it_holds` | 3 |";
    assert_eq!(of(right), 0, "{:?}", wrong(right, &sources));
    for page in [
        "`store::it_held`",
        "`shop::it_holds`",
        "`store::MAX_AGES`",
        "| `store::MAX_AGE` | 1 s |",
        "| `store::BYTES` | some |",
    ] {
        assert_eq!(of(page), 1, "{page}");
    }
}

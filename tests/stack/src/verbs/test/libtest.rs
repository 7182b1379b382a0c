//! Reads what `cargo test` prints: which tests ran in which binary, and how they ended.

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed,
    Ignored,
}

/// One test: `BINARY::PATH`, where the binary is the crate or the file in `tests/`, and `doc` for documentation tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Test {
    pub(super) name: String,
    pub(super) outcome: Outcome,
}

/// Collects tests line by line.
#[derive(Debug, Default)]
pub(super) struct Reader {
    binary: String,
    /// In the order they ended.
    pub(super) tests: Vec<Test>,
}

impl Reader {
    pub(super) fn line(&mut self, line: &str) {
        if let Some(binary) = binary_of(line) {
            self.binary = binary;
        } else if let Some((name, outcome)) = test_of(line) {
            self.tests.push(Test {
                name: format!("{}::{name}", self.binary),
                outcome,
            });
        }
    }
}

/// `     Running unittests src/lib.rs (target/debug/deps/pitcrew-0123456789abcdef)` and `   Doc-tests pitcrew`.
fn binary_of(line: &str) -> Option<String> {
    let line = line.trim_start();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("doc::{}", name.trim()));
    }
    let path = line
        .strip_prefix("Running ")?
        .rsplit_once('(')?
        .1
        .strip_suffix(')')?;
    let file = path.rsplit('/').next()?;
    let (stem, hash) = file.rsplit_once('-')?;
    (hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| stem.to_owned())
}

/// `test path::of::test ... ok`, with libtest's additions to the name (` - should panic`) and to the outcome (`ignored, reason`).
fn test_of(line: &str) -> Option<(&str, Outcome)> {
    let (name, outcome) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let outcome = match outcome.trim() {
        "ok" => Outcome::Passed,
        text if text.starts_with("FAILED") => Outcome::Failed,
        text if text.starts_with("ignored") => Outcome::Ignored,
        _ => return None,
    };
    Some((
        name.split(" - should panic").next().unwrap_or(name),
        outcome,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_several_binaries_is_read() {
        let mut reader = Reader::default();
        let output = "   Compiling x v0.1.0
     Running unittests src/lib.rs (/t/debug/deps/pitcrew-0123456789abcdef)

running 3 tests
test cache::tests::a ... ok
test cache::b - should panic ... ok
test c ... ignored, needs a week
test d ... FAILED
test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
     Running tests/private.rs (target/debug/deps/private-fedcba9876543210)
test a ... ok
   Doc-tests pitcrew
test middleware/src/lib.rs - cache (line 12) ... ok
test middleware/src/lib.rs - cache (line 30) - compile ... ok
";
        output.lines().for_each(|line| reader.line(line));
        let names: Vec<&str> = reader.tests.iter().map(|test| test.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "pitcrew::cache::tests::a",
                "pitcrew::cache::b",
                "pitcrew::c",
                "pitcrew::d",
                "private::a",
                "doc::pitcrew::middleware/src/lib.rs - cache (line 12)",
                "doc::pitcrew::middleware/src/lib.rs - cache (line 30) - compile",
            ]
        );
        let count = |outcome| {
            reader
                .tests
                .iter()
                .filter(|test| test.outcome == outcome)
                .count()
        };
        assert_eq!(
            (
                count(Outcome::Passed),
                count(Outcome::Failed),
                count(Outcome::Ignored)
            ),
            (5, 1, 1)
        );
    }
}

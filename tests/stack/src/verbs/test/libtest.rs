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
    /// A test whose outcome comes on a later line: on one thread libtest prints the name first, and what the test writes comes between.
    begun: Option<String>,
    /// In the order they ended.
    pub(super) tests: Vec<Test>,
}

impl Reader {
    pub(super) fn line(&mut self, line: &str) {
        if let Some(binary) = binary_of(line) {
            self.binary = binary;
        } else if let Some((name, outcome)) = test_of(line) {
            self.ended(name, outcome);
        } else if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.split_once(" ..."))
            .map(|(name, _)| name)
        {
            self.begun = Some(plain(name).to_owned());
        } else if let Some(outcome) = outcome_of(line)
            && let Some(name) = self.begun.take()
        {
            self.ended(&name, outcome);
        }
    }

    fn ended(&mut self, name: &str, outcome: Outcome) {
        self.begun = None;
        self.tests.push(Test {
            name: format!("{}::{name}", self.binary),
            outcome,
        });
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
    Some((plain(name), outcome_of(outcome)?))
}

fn outcome_of(text: &str) -> Option<Outcome> {
    match text.trim() {
        "ok" => Some(Outcome::Passed),
        text if text.starts_with("FAILED") => Some(Outcome::Failed),
        text if text == "ignored" || text.starts_with("ignored, ") => Some(Outcome::Ignored),
        _ => None,
    }
}

fn plain(name: &str) -> &str {
    name.split(" - should panic").next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_on_a_later_line_belongs_to_the_test_that_began() {
        let mut reader = Reader::default();
        let output = "test a::b ... skipped (1 in this binary): a::b: no stack\nok\nok\ntest c ... \nFAILED\n";
        output.lines().for_each(|line| reader.line(line));
        let found: Vec<_> = reader
            .tests
            .iter()
            .map(|test| (test.name.as_str(), test.outcome))
            .collect();
        assert_eq!(
            found,
            [("::a::b", Outcome::Passed), ("::c", Outcome::Failed)]
        );
    }

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

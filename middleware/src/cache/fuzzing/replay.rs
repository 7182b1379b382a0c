//! Each target over what was found for it so far, and over arbitrary bytes.

use std::path::Path;

use proptest::prelude::*;

/// Runs a target on every file of its corpus; one that is gone is no success.
fn replay(name: &str, target: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(name);
    let files = std::fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{corpus:?}: {error}"));
    let mut count = 0;
    for file in files {
        let path = file.unwrap().path();
        let data = std::fs::read(&path).unwrap();
        let told = std::panic::catch_unwind(|| target(&data));
        assert!(told.is_ok(), "{path:?} fails");
        count += 1;
    }
    assert!(count > 0, "{corpus:?} is empty");
}

/// Every clone carries them, and every run of the tests goes through them.
#[test]
fn the_seeds_are_few_and_small() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let (mut files, mut bytes) = (0, 0);
    for target in std::fs::read_dir(seeds).unwrap() {
        for file in std::fs::read_dir(target.unwrap().path()).unwrap() {
            files += 1;
            bytes += file.unwrap().metadata().unwrap().len();
        }
    }
    assert!(files > 0 && files <= 200, "{files} files");
    assert!(bytes <= 200 << 10, "{bytes} bytes");
}

macro_rules! replayed {
    ($($name:ident),+) => {$(
        mod $name {
            use super::*;

            #[test]
            fn holds_for_its_corpus() {
                replay(stringify!($name), crate::cache::fuzzing::$name);
            }

            proptest! {
                #[test]
                fn holds_for_arbitrary_bytes(data in proptest::collection::vec(any::<u8>(), 0..512)) {
                    crate::cache::fuzzing::$name(&data);
                }
            }
        }
    )+};
}

replayed!(dates, directives, groups, ranges, validation, vary);
#[cfg(feature = "redis")]
replayed!(purge_table, purges, wire);
#[cfg(feature = "query")]
replayed!(statement);

//! The statements that one layer has met, by number.
//!
//! Without a lock: nothing is ever taken out, texts overwrite each other in a table of fixed size, and forms are set once.

use std::{
    hash::{BuildHasher, DefaultHasher, RandomState},
    sync::{
        OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use crate::sql::{MAX_TEXT_BYTES, fingerprint};

/// Statements that a layer tells apart, by their form; what comes after is counted together. Some 600 bytes each at most.
pub const MAX_STATEMENTS: usize = 1_024;

/// Places for forms: half of them stay empty, so that a look-up ends soon.
const PLACES: usize = 2 * MAX_STATEMENTS;
/// Texts whose form is remembered; one that falls on another's place is read again when it comes back. 8 bytes each.
const TEXTS: usize = 4_096;

/// Stands for all statements that came after [`MAX_STATEMENTS`] others.
const OVERFLOWED: Id = Id(u16::MAX);
/// Stands for all texts that cannot be read, and for prepared statements whose text nobody told.
pub(crate) const UNREADABLE: Id = Id(u16::MAX - 1);

/// A statement, as a small number of its layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Id(u16);

struct Form {
    hash: u64,
    shown: Box<str>,
    is_on_rows: bool,
}

/// All statements of one layer. Takes memory with the first.
#[derive(Default)]
pub(crate) struct Statements {
    /// The upper 48 bits of a text's hash and its number; 0 is none.
    texts: OnceLock<Box<[AtomicU64]>>,
    forms: OnceLock<Box<[OnceLock<Form>]>>,
    known: AtomicUsize,
    overflowed: AtomicU64,
    /// With a key that nobody outside knows, so that nobody can choose texts that meet.
    hasher: RandomState,
}

impl Statements {
    /// The number of a text, and the hash of the text itself, constants included.
    pub(crate) fn find(&self, text: &str) -> (Id, u64) {
        if text.len() > MAX_TEXT_BYTES {
            return (UNREADABLE, 0);
        }
        let hash = self.hasher.hash_one(text);
        (self.id_of(text, hash), hash)
    }

    fn id_of(&self, text: &str, hash: u64) -> Id {
        let texts = self
            .texts
            .get_or_init(|| (0..TEXTS).map(|_| AtomicU64::new(0)).collect());
        let place = &texts[hash as usize % TEXTS];
        let word = place.load(Ordering::Relaxed);
        if word != 0 && word >> 16 == hash >> 16 {
            return Id(word as u16);
        }
        let id = self.read(text);
        place.store(hash & !0xFFFF | u64::from(id.0), Ordering::Relaxed);
        id
    }

    fn read(&self, text: &str) -> Id {
        let Some(found) = fingerprint(text) else {
            return UNREADABLE;
        };
        let hash = self.hasher.hash_one(found.form.as_str());
        let forms = self
            .forms
            .get_or_init(|| (0..PLACES).map(|_| OnceLock::new()).collect());
        for step in 0..PLACES {
            let at = (hash as usize).wrapping_add(step) % PLACES;
            let place = &forms[at];
            if place.get().is_none() {
                let room = self
                    .known
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |known| {
                        (known < MAX_STATEMENTS).then_some(known + 1)
                    });
                if room.is_err() {
                    break;
                }
                let form = Form {
                    hash,
                    shown: found.shown().into(),
                    is_on_rows: found.is_on_rows,
                };
                if place.set(form).is_err() {
                    // Another thread was faster; whose form it is shows below.
                    self.known.fetch_sub(1, Ordering::Relaxed);
                }
            }
            if place.get().is_some_and(|form| form.hash == hash) {
                return Id(at as u16);
            }
        }
        self.overflowed.fetch_add(1, Ordering::Relaxed);
        OVERFLOWED
    }

    fn form(&self, id: Id) -> Option<&Form> {
        self.forms.get()?.get(usize::from(id.0))?.get()
    }

    /// The form of a statement, cut where it is long.
    pub(crate) fn shown(&self, id: Id) -> Option<&str> {
        self.form(id).map(|form| &*form.shown)
    }

    /// Whether it is one statement, of a kind that may be run once in place of many times.
    pub(crate) fn is_on_rows(&self, id: Id) -> bool {
        self.form(id).is_some_and(|form| form.is_on_rows)
    }

    /// A hash of parameters, with this layer's key.
    pub(crate) fn hasher(&self) -> DefaultHasher {
        self.hasher.build_hasher()
    }

    pub(crate) fn known(&self) -> usize {
        self.known.load(Ordering::Relaxed)
    }

    /// Texts of statements that were not told apart for want of room.
    pub(crate) fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
impl Statements {
    pub(super) fn id(&self, text: &str) -> Id {
        self.find(text).0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn one_statement_has_one_number_whatever_its_values() {
        let statements = Statements::default();
        let one = statements.id("SELECT * FROM t WHERE id = 1");
        assert_eq!(statements.id("SELECT * FROM t WHERE id = 2"), one);
        assert_eq!(statements.id("select * from t where id = $1"), one);
        assert_ne!(statements.id("select * from u where id = $1"), one);
        assert_eq!(statements.shown(one), Some("select * from t where id = ?"));
        assert!(statements.is_on_rows(one));
        assert!(!statements.is_on_rows(statements.id("begin")));
        assert_eq!(statements.id("select 'open"), UNREADABLE);
        assert_eq!(statements.shown(UNREADABLE), None);
        assert_eq!((statements.known(), statements.overflowed()), (3, 0));
    }

    #[test]
    fn a_hundred_thousand_texts_are_no_more_than_the_bound() {
        let statements = Statements::default();
        let mut ids = BTreeSet::new();
        for at in 0..100_000 {
            ids.insert(statements.id(&format!("select * from t where id = {at}")).0);
        }
        assert_eq!((ids.len(), statements.known()), (1, 1));
        for at in 0..2 * MAX_STATEMENTS {
            ids.insert(statements.id(&format!("select * from t{at}")).0);
        }
        assert_eq!(statements.known(), MAX_STATEMENTS);
        // All that were known before, and the one that stands for the others.
        assert_eq!(ids.len(), MAX_STATEMENTS + 1);
        assert_eq!(statements.overflowed() as usize, MAX_STATEMENTS + 1);
        assert_eq!(statements.id("select * from t0").0, {
            statements.id("SELECT * FROM t0").0
        });
    }

    #[test]
    fn threads_that_meet_a_statement_at_once_agree() {
        let statements = Statements::default();
        let seen: Vec<Vec<u16>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let ids =
                            (0..200).map(|at| statements.id(&format!("select {at} from t{at}")));
                        ids.map(|id| id.0).collect::<Vec<_>>()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(statements.known(), 200);
    }
}

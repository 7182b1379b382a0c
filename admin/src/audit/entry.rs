//! One line of the audit, and the chain that holds the lines together.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::security::identity::hexadecimal;

/// The chain begins with this.
pub(crate) const BEGINNING: &str =
    "0000000000000000000000000000000000000000000000000000000000000000";
/// What was asked for is kept up to so many bytes.
const MAX_ASKED_BYTES: usize = 2_048;
/// Fields whose names hold one of these are not written down.
const SECRET: [&str; 10] = [
    "auth",
    "cookie",
    "password",
    "passwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "credential",
    "session",
];

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fact {
    /// Rises by one from entry to entry.
    pub(crate) seq: u64,
    /// RFC 3339, UTC.
    pub(crate) at: String,
    /// `begun` before the action, `ended` after it, `abandoned` where nobody waited for its end.
    pub(crate) kind: String,
    /// The `seq` of the entry with which the action began.
    pub(crate) action: u64,
    pub(crate) who: String,
    pub(crate) role: String,
    /// `POST /cache/clear`; `cycle` of what a cycle does by itself; `load test` of a run, from its start to its end.
    pub(crate) name: String,
    /// The path as it was asked for.
    pub(crate) path: String,
    pub(crate) dry_run: bool,
    /// The request's body, without secrets.
    pub(crate) asked: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) took_us: Option<u64>,
    /// In words, of what has no status. Left out where there is none: entries that were written before there was any hash as they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<String>,
}

/// A fact in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    #[serde(flatten)]
    pub(crate) fact: Fact,
    /// The hash of the entry before.
    pub(crate) prev: String,
    /// SHA-256 over `prev`, a line feed, and the fact as JSON.
    pub(crate) hash: String,
}

impl Entry {
    pub(crate) fn new(fact: Fact, prev: &str) -> Self {
        let hash = digest(&fact, prev);
        Self {
            fact,
            prev: prev.to_owned(),
            hash,
        }
    }
}

fn digest(fact: &Fact, prev: &str) -> String {
    let fact = serde_json::to_string(fact).unwrap_or_default();
    let digest = Sha256::new()
        .chain_update(prev)
        .chain_update("\n")
        .chain_update(fact)
        .finalize();
    hexadecimal(&digest)
}

/// The first entry that is not what was written, or is not where it was: its `seq`.
pub(crate) fn first_broken<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Option<u64> {
    let mut before: Option<&Entry> = None;
    for entry in entries {
        let follows = before.is_none_or(|before| {
            before.hash == entry.prev && before.fact.seq + 1 == entry.fact.seq
        });
        if !follows || digest(&entry.fact, &entry.prev) != entry.hash {
            return Some(entry.fact.seq);
        }
        before = Some(entry);
    }
    None
}

/// A request's body as it may be written down: without secrets, without control characters, and not for ever.
pub(crate) fn asked(body: &[u8]) -> Option<String> {
    if body.is_empty() {
        return None;
    }
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(mut value) => {
            hide(&mut value);
            value.to_string()
        }
        Err(_) => format!("{} bytes that are no JSON", body.len()),
    };
    let mut kept = String::with_capacity(text.len().min(MAX_ASKED_BYTES));
    for letter in text.chars() {
        if kept.len() + letter.len_utf8() > MAX_ASKED_BYTES {
            kept.push('…');
            break;
        }
        kept.push(if letter.is_control() { '?' } else { letter });
    }
    Some(kept)
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.to_ascii_lowercase().replace('-', "_");
                if name == "headers" {
                    // Of a load test: which of them are secrets, only their server knows.
                    if let Value::Object(headers) = value {
                        headers.values_mut().for_each(|value| *value = "***".into());
                    }
                } else if SECRET.iter().any(|secret| name.contains(secret)) {
                    *value = "***".into();
                } else if name == "body" {
                    // Of a load test: what it sends may be anything.
                    *value = format!("{} bytes", value.to_string().len()).into();
                } else {
                    hide(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::String(text) => {
            if let Some((scheme, rest)) = text.split_once("://")
                && let Some((_, host)) = rest.split_once('@')
            {
                *text = format!("{scheme}://***@{host}");
            } else if let Some((path, _)) = text.split_once('?')
                && text.starts_with('/')
            {
                *text = format!("{path}?***");
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn fact(seq: u64) -> Fact {
        Fact {
            seq,
            at: "2026-11-28T12:00:00Z".to_owned(),
            kind: "begun".to_owned(),
            action: seq,
            who: "ann".to_owned(),
            role: "operator".to_owned(),
            name: "POST /cache/clear".to_owned(),
            path: "/cache/clear".to_owned(),
            dry_run: false,
            asked: None,
            status: None,
            took_us: None,
            outcome: None,
        }
    }

    fn chain() -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for seq in 1..=4 {
            let prev = entries
                .last()
                .map_or(BEGINNING.to_owned(), |last| last.hash.clone());
            entries.push(Entry::new(fact(seq), &prev));
        }
        entries
    }

    #[test]
    fn a20_a_changed_a_missing_and_a_moved_entry_break_the_chain() {
        assert_eq!(first_broken(&chain()), None);
        let text = serde_json::to_string(&chain()).expect("JSON");
        let read: Vec<Entry> = serde_json::from_str(&text).expect("entries");
        assert_eq!(first_broken(&read), None, "it can be read back");
        let mut changed = chain();
        changed[1].fact.who = "ben".to_owned();
        assert_eq!(first_broken(&changed), Some(2));
        let mut forged = chain();
        forged[1] = Entry::new(
            Fact {
                who: "ben".to_owned(),
                ..fact(2)
            },
            &forged[0].hash.clone(),
        );
        assert_eq!(first_broken(&forged), Some(3), "with a hash of its own too");
        let mut missing = chain();
        missing.remove(2);
        assert_eq!(first_broken(&missing), Some(4));
        let mut moved = chain();
        moved.swap(1, 2);
        assert_eq!(first_broken(&moved), Some(3));
    }

    #[test]
    fn a14_a15_what_is_written_down_holds_no_secret_and_no_control_character() {
        let body = br#"{"plan": {"headers": {"Authorization": "canary", "x-api-key": "canary", "x-session": "canary"},
            "body": "canary", "steps": [{"path": "/a?password=canary", "x-api-key": "canary"}]},
            "target": "postgres://u:canary@host/db", "tag": "a\u001b[31m\r\nb"}"#;
        let text = asked(body).expect("a text");
        assert!(!text.contains("canary"), "{text}");
        assert!(text.contains("***@host/db"), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains('\n'), "{text}");
        assert_eq!(asked(b""), None);
        assert_eq!(
            asked(b"\xffcanary").as_deref(),
            Some("7 bytes that are no JSON")
        );
        let long = format!("{{\"tag\": \"{}\"}}", "x".repeat(100_000));
        assert!(asked(long.as_bytes()).expect("a text").len() < 2_100);
    }
}

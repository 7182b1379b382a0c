//! The header of a stored answer, with room for what each reply gets anew.

use std::ops::Deref;

use http::{HeaderMap, HeaderValue, header::AGE};

use crate::cache::outcome::CACHE_STATUS;

/// The stored fields, and places for `Age` and our `Cache-Status`. A reply is then a copy in which two values are
/// written over: a map that has to grow costs more than all the rest of a hit.
///
/// What reads it as a map sees the places too; [`Self::stored`] leaves them out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cache) struct ReplyHeaders {
    fields: HeaderMap,
    /// Whether a cache nearer to the origin has written its own `Cache-Status`: ours comes after it, and has no place.
    has_status: bool,
}

impl ReplyHeaders {
    /// Fields that are added to those which are stored.
    pub(in crate::cache) const PLACES: usize = 2;

    /// `stored` has no `Age`.
    pub(in crate::cache) fn new(mut stored: HeaderMap) -> Self {
        let has_status = stored.contains_key(CACHE_STATUS);
        stored.insert(AGE, HeaderValue::from_static("0"));
        if !has_status {
            stored.insert(CACHE_STATUS, HeaderValue::from_static("pitcrew"));
        }
        Self {
            fields: stored,
            has_status,
        }
    }

    /// The fields as they were stored.
    pub(in crate::cache) fn stored(&self) -> HeaderMap {
        let mut fields = self.fields.clone();
        fields.remove(AGE);
        if !self.has_status {
            fields.remove(CACHE_STATUS);
        }
        fields
    }

    /// The fields of a reply, `Age` and our member of `Cache-Status` included.
    pub(in crate::cache) fn reply(&self, age: HeaderValue, status: HeaderValue) -> HeaderMap {
        let mut fields = self.fields.clone();
        fields.insert(AGE, age);
        if self.has_status {
            fields.append(CACHE_STATUS, status);
        } else {
            fields.insert(CACHE_STATUS, status);
        }
        fields
    }
}

impl Deref for ReplyHeaders {
    type Target = HeaderMap;

    fn deref(&self) -> &HeaderMap {
        &self.fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(stored: &[(&'static str, &'static str)]) -> (ReplyHeaders, Vec<(String, String)>) {
        let mut headers = HeaderMap::new();
        for (name, value) in stored {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let head = ReplyHeaders::new(headers.clone());
        assert_eq!(head.stored(), headers);
        let (age, status) = (
            HeaderValue::from_static("7"),
            HeaderValue::from_static("ours"),
        );
        let fields = head.reply(age, status);
        let fields = fields.iter();
        let fields =
            fields.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        (head.clone(), fields.collect())
    }

    #[test]
    fn a_reply_has_age_and_status_once() {
        let (_, fields) = reply(&[("etag", "\"1\"")]);
        let fields: Vec<_> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(
            fields,
            [("etag", "\"1\""), ("age", "7"), ("cache-status", "ours")]
        );
    }

    #[test]
    fn ours_comes_after_the_status_of_a_cache_nearer_to_the_origin() {
        let (_, fields) = reply(&[("cache-status", "theirs; hit")]);
        let status: Vec<_> = fields
            .iter()
            .filter(|(name, _)| name == "cache-status")
            .map(|(_, value)| &**value)
            .collect();
        assert_eq!(status, ["theirs; hit", "ours"]);
    }
}

//! Purges that could name nothing, and why.

use http::uri::PathAndQuery;

use super::name::Purge;
use crate::cache::{entry::tags::MAX_TAG_BYTES, policy::groups::MAX_NAME_BYTES};

/// Why a purge was not made: it names nothing that could be stored. Most often a name is mistyped, and what was meant is still
/// served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PurgeError {
    /// No request has such a path.
    #[error(
        "no request can have the path `{0}`; write it as clients send it: from the first `/` on, percent-encoded, without scheme and host"
    )]
    Path(String),
    /// No request's path looks so.
    #[error(
        "no path begins like `{0}`; begin a prefix or pattern with `/`, `*` or `?`, and take `Purge::All` for everything"
    )]
    Pattern(String),
    /// There is no such region.
    #[error("there is no region `{name}`; there are: {}", known.join(", "))]
    Region {
        /// What was asked for.
        name: String,
        /// The regions that there are.
        known: Vec<String>,
    },
    /// No answer has such a tag.
    #[error("no answer can have the tag `{0}`; a tag has 1 to {MAX_TAG_BYTES} bytes")]
    Tag(String),
    /// No answer is in such a group.
    #[error(
        "no answer can be in the group `{name}` of `{host}`; write the host as clients do, such as `example.com:8080`, and a name of {MAX_NAME_BYTES} bytes at most"
    )]
    Group {
        /// The host that was given.
        host: String,
        /// The group's name.
        name: String,
    },
}

impl Purge {
    /// Whether there can be anything that it names; of a region only a cache knows.
    pub(in crate::cache) fn check(&self) -> Result<(), PurgeError> {
        let may_name = match self {
            Self::Path(path) | Self::Key(path) => {
                path.starts_with('/') && PathAndQuery::try_from(path.as_str()).is_ok()
            }
            Self::Prefix(glob) | Self::Pattern(glob) => glob.starts_with(['/', '*', '?']),
            Self::Tag(tag) => (1..=MAX_TAG_BYTES).contains(&tag.trim().len()),
            Self::Group { host, name } => !host.contains('/') && name.len() <= MAX_NAME_BYTES,
            Self::Region(_) | Self::All => true,
        };
        if may_name {
            return Ok(());
        }
        Err(match self.clone() {
            Self::Path(path) | Self::Key(path) => PurgeError::Path(path),
            Self::Prefix(glob) | Self::Pattern(glob) => PurgeError::Pattern(glob),
            Self::Tag(tag) => PurgeError::Tag(tag),
            Self::Group { host, name } => PurgeError::Group { host, name },
            Self::Region(name) => PurgeError::Region {
                name,
                known: Vec::new(),
            },
            Self::All => return Ok(()),
        })
    }
}

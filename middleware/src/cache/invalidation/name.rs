//! What a purge names, and the slot that a name has in the table.

use std::sync::Arc;

use serde::Serialize;
use siphasher::sip::SipHasher13;

use super::patterns::Pattern;

/// Slots in the table. 512 KiB.
pub(in crate::cache) const SLOTS: usize = 65_536;
/// The slot of "all": kept out of the hashed ones.
pub(in crate::cache) const ALL: u32 = SLOTS as u32;
/// The first slots are for regions alone: whoever makes a slot old by a name of his own choice never takes a region along.
const REGIONS: std::ops::Range<u32> = 0..1_024;
/// Then those of what unsafe requests make old, which any client chooses. The hash is known to all, so that targets can be
/// found that share a slot; more than other targets no request can make old so.
const ASKED: std::ops::Range<u32> = REGIONS.end..32_768;
/// The others: what handlers and operators name.
const NAMED: std::ops::Range<u32> = ASKED.end..SLOTS as u32;
/// Every instance must agree on slots, so the key of this hash is fixed. Whoever finds two names in one slot makes
/// more purged than was asked, never less.
pub(in crate::cache) const SLOT_HASH_KEY: (u64, u64) =
    (0x7069_7463_7265_7731, 0x736c_6f74_7300_0001);

/// What [`CacheHandle::purge`](super::super::CacheHandle::purge) and
/// [`CacheHandle::purge_softly`](super::super::CacheHandle::purge_softly) name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purge {
    /// Every answer for this path, as the client asks for it (percent-encoding as sent), whatever host, query or
    /// variant.
    Path(String),
    /// Every answer for this path and query, as the client asks for them, whatever host or variant. Parameters that a region
    /// ignores, and their order where it sorts them, are brought into its form.
    Key(String),
    /// Every answer whose path and query, as its region leaves them, begin so, in any region. `*` and `?` in it stand for what they do in a pattern, so
    /// more may be purged than is asked, never less.
    Prefix(String),
    /// Every answer whose path and query, as its region leaves them, look like this, in any region: `*` is any run of characters, `?` any one (so it
    /// is also the question mark of a query). Of the last 1,024 prefixes and patterns each is held against what is stored;
    /// what is older than those becomes a purge of all that was stored before it. Past [`MAX_PATTERN_BYTES`] the rest counts
    /// as `*`.
    Pattern(String),
    /// Every answer of this region.
    Region(String),
    /// Every answer that carries this tag: from [`tag`](super::super::tag()) or from the response header `x-cache-tags`.
    Tag(String),
    /// Every answer that its host has put into this cache group (RFC 9875).
    Group {
        /// As the client asks for it.
        host: String,
        /// The group's name.
        name: String,
    },
    /// Everything.
    All,
}

/// Bytes of a prefix or a pattern that are looked at.
pub const MAX_PATTERN_BYTES: usize = 1_024;

impl Purge {
    /// As figures call what it names.
    pub(in crate::cache) const fn kind(&self) -> &'static str {
        match self {
            Self::Path(_) => "path",
            Self::Key(_) => "key",
            Self::Prefix(_) => "prefix",
            Self::Pattern(_) => "pattern",
            Self::Region(_) => "region",
            Self::Tag(_) => "tag",
            Self::Group { .. } => "group",
            Self::All => "all",
        }
    }

    pub(in crate::cache) fn target(&self) -> Target {
        Target::Slot(match self {
            Self::Path(path) => path_slot(path.split(['?', '#']).next().unwrap_or(path)),
            Self::Key(target) => target_slot(target.split('#').next().unwrap_or(target)),
            // A star in a prefix takes more than itself: more is purged than was asked, never less.
            Self::Prefix(prefix) => return pattern(&format!("{prefix}*")),
            Self::Pattern(glob) => return pattern(glob),
            Self::Region(region) => region_slot(region),
            Self::Tag(tag) => tag_slot(tag.trim()),
            Self::Group { host, name } => group_slot(host, name),
            Self::All => ALL,
        })
    }
}

fn pattern(glob: &str) -> Target {
    let kept = glob.floor_char_boundary(MAX_PATTERN_BYTES);
    let rest = if kept < glob.len() { "*" } else { "" };
    Target::Pattern(Arc::new(Pattern {
        region: ALL,
        glob: format!("{}{rest}", &glob[..kept]).into(),
    }))
}

/// How far a purge has come at one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PurgeState {
    /// No older answer is served from this level by this instance.
    Done,
    /// Redis has not confirmed it yet. Until it has, this instance reads nothing from L2; it keeps telling it.
    Pending,
    /// There is no such level.
    Off,
}

/// What a purge has reached when [`CacheHandle::purge`](super::super::CacheHandle::purge) returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PurgeReport {
    /// The cache in this process.
    pub local: PurgeState,
    /// The cache in Redis.
    pub l2: PurgeState,
}

pub(in crate::cache) fn path_slot(path: &str) -> u32 {
    slot(NAMED, b'p', &[path])
}

/// One target, its query included, whatever the host.
pub(in crate::cache) fn target_slot(target: &str) -> u32 {
    slot(NAMED, b'u', &[target])
}

/// One target of one host: what an unsafe request makes old (RFC 9111, 4.4).
pub(in crate::cache) fn asked_slot(host: &str, target: &str) -> u32 {
    slot(ASKED, b'o', &[&host.to_ascii_lowercase(), "\n", target])
}

pub(in crate::cache) fn region_slot(region: &str) -> u32 {
    slot(REGIONS, b'r', &[region])
}

pub(in crate::cache) fn tag_slot(tag: &str) -> u32 {
    slot(NAMED, b't', &[tag])
}

/// A group is one of an origin (RFC 9875, 2.1): two of one name under two hosts are apart.
pub(in crate::cache) fn group_slot(host: &str, name: &str) -> u32 {
    slot(NAMED, b'g', &[&host.to_ascii_lowercase(), "\n", name])
}

fn slot(lane: std::ops::Range<u32>, kind: u8, name: &[&str]) -> u32 {
    use std::hash::Hasher;
    let mut hasher = SipHasher13::new_with_keys(SLOT_HASH_KEY.0, SLOT_HASH_KEY.1);
    hasher.write(&[kind]);
    name.iter().for_each(|part| hasher.write(part.as_bytes()));
    let length = u64::from(lane.end - lane.start);
    lane.start + (hasher.finish() % length) as u32
}

/// What a purge does to what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::cache) enum Kind {
    /// Dead: never served again.
    Hard,
    /// Stale: served while somebody fetches anew.
    Soft,
}

/// What a purge names, as the log knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::cache) enum Target {
    /// A hashed name, or [`ALL`].
    Slot(u32),
    /// Every key of a region that looks like this.
    Pattern(Arc<Pattern>),
}

impl Target {
    /// Whether it names an entry with these slots, under this path and query.
    pub(in crate::cache) fn names(&self, slots: &[u32], target: &str) -> bool {
        match self {
            Self::Slot(slot) => *slot == ALL || slots.contains(slot),
            Self::Pattern(pattern) => pattern.may_name(slots, target),
        }
    }
}

/// One thing that a purge names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::cache) struct Name {
    pub(in crate::cache) kind: Kind,
    pub(in crate::cache) target: Target,
}

impl Name {
    /// Everything, hard.
    pub(in crate::cache) const ALL: Self = Self::slot(Kind::Hard, ALL);

    pub(in crate::cache) const fn slot(kind: Kind, slot: u32) -> Self {
        Self {
            kind,
            target: Target::Slot(slot),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_regions_and_tags_of_one_name_are_apart() {
        let slots = [path_slot("x"), region_slot("x"), tag_slot("x")];
        assert!(slots[0] != slots[1] && slots[1] != slots[2] && slots[0] != slots[2]);
    }

    #[test]
    fn no_target_that_a_client_chooses_has_the_slot_of_a_region_a_tag_or_a_path() {
        for n in 0..100_000 {
            let name = format!("/any?{n}");
            let asked = asked_slot("a.example", &name);
            assert!(ASKED.contains(&asked));
            assert!(REGIONS.contains(&region_slot(&name)));
            for slot in [
                path_slot(&name),
                target_slot(&name),
                tag_slot(&name),
                group_slot("a", &name),
            ] {
                assert!(NAMED.contains(&slot));
            }
        }
    }

    #[test]
    fn a_pattern_past_its_bound_purges_more_and_is_cut_between_characters() {
        let glob_of = |purge: Purge| match purge.target() {
            Target::Pattern(pattern) => pattern.glob.clone(),
            Target::Slot(slot) => panic!("{slot}"),
        };
        assert_eq!(&*glob_of(Purge::Prefix("/a".into())), "/a*");
        assert_eq!(&*glob_of(Purge::Pattern("/a?b".into())), "/a?b");
        let long = glob_of(Purge::Pattern(format!("/{}", "é".repeat(2_000))));
        assert!(long.len() <= MAX_PATTERN_BYTES + 1 && long.ends_with("é*"));
    }
}

//! Cache groups (RFC 9875): answers of one origin that belong together, and become old together.

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, List, ListEntry, Parser};

/// Which groups an answer belongs to (2).
pub(crate) const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
/// Which groups the answer to an unsafe request makes old (3).
pub(crate) const CACHE_GROUP_INVALIDATION: HeaderName =
    HeaderName::from_static("cache-group-invalidation");

/// Groups of one answer that are read at most; the RFC asks for 32 at least.
pub(crate) const MAX_GROUPS: usize = 64;
/// Longest name; the RFC asks for 32 characters at least.
pub(crate) const MAX_NAME_BYTES: usize = 256;

/// The names in a field; none where it cannot be read (RFC 9651, 4.2). `None` where there are more, or longer ones, than are
/// kept: then it is not known what the answer belongs to.
pub(crate) fn names(headers: &HeaderMap, field: &HeaderName) -> Option<Vec<String>> {
    let lines: Vec<&str> = headers
        .get_all(field)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    if lines.is_empty() {
        return Some(Vec::new());
    }
    let Ok(members) = Parser::new(&lines.join(", ")).parse::<List>() else {
        return Some(Vec::new());
    };
    let mut names = Vec::new();
    for member in &members {
        if let ListEntry::Item(item) = member
            && let BareItem::String(name) = &item.bare_item
        {
            let name = name.as_str();
            if names.len() == MAX_GROUPS || name.len() > MAX_NAME_BYTES {
                return None;
            }
            names.push(name.to_owned());
        }
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Option<Vec<String>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_GROUPS, line.parse().unwrap());
        }
        names(&headers, &CACHE_GROUPS)
    }

    #[test]
    fn names_are_strings_in_a_list_and_case_matters() {
        let named = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
        assert_eq!(of(&[]), named(&[]));
        assert_eq!(of(&["\"a\", \"B\";x=1", "\"c\""]), named(&["a", "B", "c"]));
        assert_eq!(
            of(&["a, 1, \"b\""]),
            named(&["b"]),
            "what is no string is left out"
        );
        assert_eq!(of(&["\"a"]), named(&[]), "what cannot be read is not there");
    }

    #[test]
    fn more_than_is_kept_is_not_known() {
        let many = vec!["\"x\""; MAX_GROUPS + 1].join(",");
        assert_eq!(of(&[&many]), None);
        assert_eq!(
            of(&[&format!("\"{}\"", "x".repeat(MAX_NAME_BYTES + 1))]),
            None
        );
    }
}

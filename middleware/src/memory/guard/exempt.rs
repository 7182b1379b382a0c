//! Paths that are never refused.

/// Patterns in which `*` stands for any run of characters.
#[derive(Clone, Debug, Default)]
pub(in crate::memory) struct Exempt(Vec<String>);

impl Exempt {
    pub(super) fn new(patterns: &[String]) -> Self {
        Self(patterns.to_vec())
    }

    pub(in crate::memory) fn has(&self, path: &str) -> bool {
        self.0
            .iter()
            .any(|pattern| matches(pattern.as_bytes(), path.as_bytes()))
    }
}

/// Goes back to the last star alone, so the time is bounded by the product of the lengths.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let (mut at, mut here) = (0, 0);
    let mut star = None;
    while here < path.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, here));
                at += 1;
            }
            Some(byte) if *byte == path[here] => {
                at += 1;
                here += 1;
            }
            _ => {
                let Some((star_at, taken)) = star else {
                    return false;
                };
                star = Some((star_at, taken + 1));
                at = star_at + 1;
                here = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_run() {
        for (pattern, path, is_so) in [
            ("/health*", "/health", true),
            ("/health*", "/health/live", true),
            ("/health", "/healthy", false),
            ("*/health", "/api/v1/health", true),
            ("*/health", "/api/health/x", false),
            ("/a*b*c", "/axxbyyc", true),
            ("/a*b*c", "/axxbyy", false),
            ("*", "", true),
            ("", "", true),
            ("", "/", false),
            ("/*/*", "/a", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), path.as_bytes()),
                is_so,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn a_hostile_path_takes_no_time() {
        let pattern = "*a".repeat(30) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(10_000).as_bytes()));
    }
}

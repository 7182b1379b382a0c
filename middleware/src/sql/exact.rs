//! The form that two texts share if they ask for the same rows.

use super::{folded, tokens};

/// The tokens, each behind its length: two texts that differ in space, comments and the case of what is not quoted have one
/// form. Constants stay: they decide the rows. Without the lengths `'a'' , ''b'` would be taken for `'a' , 'b'`. `None` where the
/// text cannot be read.
pub(crate) fn exact(text: &str) -> Option<String> {
    let mut exact = String::with_capacity(2 * text.len());
    for token in tokens(text)? {
        let token = folded(&token);
        exact.push_str(itoa::Buffer::new().format(token.len()));
        exact.push(':');
        exact.push_str(&token);
    }
    Some(exact)
}

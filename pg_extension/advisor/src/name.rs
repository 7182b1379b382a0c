//! Names for new indexes.

/// Bytes of an identifier (`NAMEDATALEN - 1`).
pub const MAX_NAME_BYTES: usize = 63;

/// A name for an index on `columns` of `table`, both unquoted: `table_column_column_idx`, as PostgreSQL names its own.
///
/// At most 63 bytes; a longer one is cut at a character and carries a hash of the whole, so that two long names do not
/// become one. The same input always gives the same name.
pub fn index_name(table: &str, columns: &[String]) -> String {
    let whole = format!("{table}_{}_idx", columns.join("_"));
    if whole.len() <= MAX_NAME_BYTES {
        return whole;
    }
    let suffix = format!("_{:08x}_idx", stable_hash(&[&whole]) as u32);
    let mut end = MAX_NAME_BYTES - suffix.len();
    while !whole.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", &whole[..end])
}

/// FNV-1a over the parts, each with its length first: the same on every platform and in every version.
pub fn stable_hash(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut eat = |bytes: &[u8]| {
        for &byte in bytes {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for part in parts {
        eat(&(part.len() as u64).to_le_bytes());
        eat(part.as_bytes());
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_read_like_the_servers_own() {
        assert_eq!(
            index_name("orders", &["customer_id".into()]),
            "orders_customer_id_idx"
        );
        assert_eq!(
            index_name("a\"b", &["x".into(), "y".into()]),
            "a\"b_x_y_idx"
        );
    }

    #[test]
    fn long_names_fit_and_differ() {
        let long = "ä".repeat(31);
        let first = index_name(&long, &["one".into()]);
        let second = index_name(&long, &["two".into()]);
        assert!(first.len() <= MAX_NAME_BYTES && second.len() <= MAX_NAME_BYTES);
        assert_ne!(first, second);
    }

    #[test]
    fn the_hash_keeps_parts_apart() {
        assert_ne!(stable_hash(&["ab", "c"]), stable_hash(&["a", "bc"]));
        assert_eq!(stable_hash(&["t", "a"]), stable_hash(&["t", "a"]));
    }
}

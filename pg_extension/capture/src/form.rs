//! How a parameter's bytes are found without asking a catalogue: the built-in types whose layout never changed.

/// Where the bytes of a datum are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In the datum itself: so many of its low bytes.
    ByValue(usize),
    /// Behind it: so many.
    Fixed(usize),
    /// Behind it, with their length in front.
    Varlena,
}

impl Form {
    /// Of a built-in type by its OID (`pg_type.dat`); `None` for what has to be looked up.
    #[must_use]
    pub fn of(type_oid: u32) -> Option<Self> {
        Some(match type_oid {
            // bool, "char"
            16 | 18 => Self::ByValue(1),
            // int2
            21 => Self::ByValue(2),
            // int4, oid, float4, date
            23 | 26 | 700 | 1082 => Self::ByValue(4),
            // int8, float8, money, time, timestamp, timestamptz
            20 | 701 | 790 | 1083 | 1114 | 1184 if cfg!(target_pointer_width = "64") => {
                Self::ByValue(8)
            }
            // timetz
            1266 => Self::Fixed(12),
            // interval, uuid
            1186 | 2950 => Self::Fixed(16),
            // name
            19 => Self::Fixed(64),
            // bytea, text, json, cidr, inet, bpchar, varchar, bit, varbit, numeric, jsonb
            17 | 25 | 114 | 650 | 869 | 1042 | 1043 | 1560 | 1562 | 1700 | 3802 => Self::Varlena,
            // Arrays of bool, int2, int4, text, bpchar, varchar, int8, float4, float8, oid
            1000 | 1005 | 1007 | 1009 | 1014 | 1015 | 1016 | 1021 | 1022 | 1028 => Self::Varlena,
            // Arrays of timestamp, date, timestamptz, numeric, uuid
            1115 | 1182 | 1185 | 1231 | 2951 => Self::Varlena,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_built_in_is_not_guessed() {
        assert_eq!(Form::of(23), Some(Form::ByValue(4)));
        assert_eq!(Form::of(25), Some(Form::Varlena));
        assert_eq!(Form::of(0), None);
        assert_eq!(Form::of(16_384), None);
        // Composite, cstring, unknown.
        assert_eq!([2249, 2275, 705].map(Form::of), [None; 3]);
    }
}

//! Reads a plan and its parts, its load and what visitors do, from one object.
//!
//! serde's own `flatten` would read them too, but can neither say at which field something is wrong nor refuse unknown ones.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Error, IntoDeserializer, MapAccess, Visitor};

use super::load::Load;

/// A part of a plan whose fields stand among the plan's own.
pub(super) trait Part<'de> {
    /// As they are written.
    const FIELDS: &'static [&'static str];

    /// Reads one of these.
    fn read_field<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error>;
}

/// What a build without steps has in their place.
#[cfg(not(feature = "scripts"))]
impl<'de> Part<'de> for () {
    const FIELDS: &'static [&'static str] = &[];

    fn read_field<A: MapAccess<'de>>(&mut self, _: &str, _: &mut A) -> Result<(), A::Error> {
        Ok(())
    }
}

/// A plan with its parts.
pub(super) trait Flat<'de>: Sized {
    /// What visitors do.
    type Visits: Part<'de> + Default;

    /// Reads all but the parts.
    fn read_rest<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
    fn with(self, load: Load, visits: Self::Visits) -> Self;
}

/// Has a type with `#[serde(remote = "Self")]` read its fields `load` and `visits` from among its own.
macro_rules! flat {
    ($plan:ident, $step:ty) => {
        impl<'de> super::flat::Flat<'de> for $plan {
            #[cfg(feature = "scripts")]
            type Visits = super::Visits<$step>;
            #[cfg(not(feature = "scripts"))]
            type Visits = ();

            fn read_rest<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                // The one of the derive, which is no trait's.
                Self::deserialize(deserializer)
            }

            #[cfg(feature = "scripts")]
            fn with(self, load: Load, visits: Self::Visits) -> Self {
                Self {
                    load,
                    visits,
                    ..self
                }
            }

            #[cfg(not(feature = "scripts"))]
            fn with(self, load: Load, (): ()) -> Self {
                Self { load, ..self }
            }
        }

        impl<'de> Deserialize<'de> for $plan {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                super::flat::read(deserializer)
            }
        }

        impl Serialize for $plan {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, serializer)
            }
        }
    };
}
pub(super) use flat;

pub(super) fn read<'de, D: Deserializer<'de>, P: Flat<'de>>(
    deserializer: D,
) -> Result<P, D::Error> {
    deserializer.deserialize_map(Whole(PhantomData))
}

struct Whole<P>(PhantomData<P>);

impl<'de, P: Flat<'de>> Visitor<'de> for Whole<P> {
    type Value = P;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plan")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<P, A::Error> {
        let (mut load, mut visits) = (Load::default(), P::Visits::default());
        let rest = Rest {
            map,
            load: &mut load,
            visits: &mut visits,
            seen: Vec::new(),
        };
        let plan = P::read_rest(MapAccessDeserializer::new(rest))?;
        Ok(plan.with(load, visits))
    }
}

/// A map without the parts' fields, which are taken out as they come.
struct Rest<'a, A, V> {
    map: A,
    load: &'a mut Load,
    visits: &'a mut V,
    seen: Vec<&'static str>,
}

impl<'de, A: MapAccess<'de>, V: Part<'de>> MapAccess<'de> for Rest<'_, A, V> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        // A seed serves once; one that met a field of a part comes back.
        let mut seed = seed;
        loop {
            match self.map.next_key_seed(Key::<_, V>(seed, PhantomData))? {
                None => return Ok(None),
                Some(Named::OfRest(key)) => return Ok(Some(key)),
                Some(Named::OfPart(name, unused)) => {
                    if self.seen.contains(&name) {
                        return Err(Error::duplicate_field(name));
                    }
                    self.seen.push(name);
                    if Load::FIELDS.contains(&name) {
                        self.load.read_field(name, &mut self.map)?;
                    } else {
                        self.visits.read_field(name, &mut self.map)?;
                    }
                    seed = unused;
                }
            }
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

impl<'de> Part<'de> for Load {
    const FIELDS: &'static [&'static str] = &[
        "connections",
        "duration_s",
        "requests",
        "ramp_up_s",
        "closed",
        "open",
        "part",
        "timeout_ms",
    ];

    fn read_field<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "connections" => self.connections = map.next_value()?,
            "duration_s" => self.duration_s = map.next_value()?,
            "requests" => self.requests = map.next_value()?,
            "ramp_up_s" => self.ramp_up_s = map.next_value()?,
            "closed" => self.closed = map.next_value()?,
            "open" => self.open = map.next_value()?,
            "part" => self.part = map.next_value()?,
            _ => self.timeout_ms = map.next_value()?,
        }
        Ok(())
    }
}

/// A field's name, told apart inside the reading of it: what is wrong with a name is then said at its place.
struct Key<S, V>(S, PhantomData<V>);

enum Named<T, S> {
    OfPart(&'static str, S),
    OfRest(T),
}

impl<'de, S: DeserializeSeed<'de>, V: Part<'de>> DeserializeSeed<'de> for Key<S, V> {
    type Value = Named<S::Value, S>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'de, S: DeserializeSeed<'de>, V: Part<'de>> Visitor<'de> for Key<S, V> {
    type Value = Named<S::Value, S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        let mut fields = V::FIELDS.iter().chain(Load::FIELDS);
        if let Some(name) = fields.find(|field| **field == name) {
            return Ok(Named::OfPart(name, self.0));
        }
        // It can only be an unknown one, and ends in those that are known.
        let known = self.0.deserialize(name.into_deserializer());
        known.map(Named::OfRest).map_err(|error: E| {
            let others = [V::FIELDS, Load::FIELDS].concat();
            E::custom(format_args!("{error}, `{}`", others.join("`, `")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HttpPlan;

    #[test]
    fn what_is_written_is_read_and_the_load_is_all_that_it_has() {
        let text = r#"{"path": "/a", "connections": 3, "requests": 9, "part": "2/3", "timeout_ms": 7, "streams": null, "ramp_up_s": 0.5,
            "closed": {"stages": [{"duration_s": 1.0, "users": 2}]},
            "open": {"stages": [{"duration_s": 1.0, "rate_per_s": 2.0}]}, "duration_s": 1.5}"#;
        let plan: HttpPlan = serde_json::from_str(text).expect("a plan");
        assert_eq!((&*plan.path, plan.load.connections), ("/a", Some(3)));
        assert_eq!((plan.load.requests, plan.load.timeout_ms), (Some(9), 7));
        assert_eq!(plan.load.duration_s, Some(1.5));
        let written = serde_json::to_value(&plan).expect("JSON");
        let again: HttpPlan = serde_json::from_value(written.clone()).expect("a plan");
        assert_eq!(again.load, plan.load);
        let load = serde_json::to_value(&plan.load).expect("JSON");
        let mut names: Vec<_> = load.as_object().expect("fields").keys().collect();
        let mut fields = Load::FIELDS.to_vec();
        names.sort();
        fields.sort_unstable();
        assert!(names.iter().eq(&fields));
        for name in fields {
            assert_eq!(written[name], load[name]);
        }
    }

    #[test]
    fn a_field_that_is_unknown_or_there_twice_is_refused() {
        for (text, wants) in [
            (r#"{"conections": 4}"#, "unknown field `conections`"),
            (
                r#"{"conections": 4}"#,
                "`keep_alive`, `steps`, `flows`, `data`, `seed`, `connections`, ",
            ),
            (
                r#"{"connections": 4, "connections": 5}"#,
                "duplicate field `connections`",
            ),
            (r#"{"path": "/", "path": "/a"}"#, "duplicate field `path`"),
            (r#"{"connections": "4"}"#, "invalid type"),
            ("[]", "expected a plan"),
        ] {
            let error = serde_json::from_str::<HttpPlan>(text).expect_err(text);
            assert!(error.to_string().contains(wants), "{text}: {error}");
        }
    }
}

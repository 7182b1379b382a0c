//! What visitors do: the same for each protocol, with steps of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::{Error as _, MapAccess};
use serde::{Deserialize, Deserializer, Serialize};

use super::PlanError;
use super::flat::Part;
use crate::part;
use crate::script::{Common, Flow, Script, Source, Spoken, of_plan};

/// Steps of visitors in the place of one request after the other, with data in them. In JSON its fields stand among those of the
/// plan.
///
/// Connections and arrivals are then visitors, `requests` counts visits, and each visitor has data of its own.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "schema",
    schemars(default, bound = "S: schemars::JsonSchema")
)]
pub struct Visits<S> {
    /// One after the other. At least one where it is there; default none: a plan of one request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub steps: Vec<S>,
    /// Several lists of steps, of which each visitor takes one by their weights, in the place of `steps`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub flows: Vec<Flow<S>>,
    /// Where the values in steps come from, by the name that they use.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, Source>,
    /// Of random data and of the choice among flows. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub seed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl<S> Default for Visits<S> {
    fn default() -> Self {
        Self {
            steps: Vec::new(),
            flows: Vec::new(),
            data: BTreeMap::new(),
            seed: 0,
        }
    }
}

impl<'de, S: Deserialize<'de>> Part<'de> for Visits<S> {
    const FIELDS: &'static [&'static str] = &["steps", "flows", "data", "seed"];

    fn read_field<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "steps" => self.steps = map.next_value::<AtLeastOne<_>>()?.0,
            "flows" => self.flows = map.next_value::<AtLeastOne<_>>()?.0,
            "data" => self.data = map.next_value()?,
            _ => self.seed = map.next_value()?,
        }
        Ok(())
    }
}

/// A list with something in it: an empty one would pass for none, and something else would be sent.
struct AtLeastOne<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for AtLeastOne<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Vec::deserialize(deserializer)?;
        if list.is_empty() {
            return Err(D::Error::custom(
                "wants at least one; leave it out for none",
            ));
        }
        Ok(Self(list))
    }
}

impl<S> Visits<S> {
    /// Every step, of all flows.
    pub(super) fn all(&self) -> impl Iterator<Item = &S> {
        self.steps
            .iter()
            .chain(self.flows.iter().flat_map(|flow| &flow.steps))
    }
}

/// The script of visits, where there are some; `alone` are the plan's fields that have no place beside it, and whether they are said.
pub(super) fn script<S: Spoken>(
    visits: &Visits<S>,
    headers: &BTreeMap<String, String>,
    part: part::Part,
    alone: &[(&str, bool)],
) -> Result<Option<Arc<Script>>, PlanError> {
    let common = Common {
        data: &visits.data,
        headers,
        seed: visits.seed,
        part,
    };
    of_plan(&visits.steps, &visits.flows, &common, alone)
}

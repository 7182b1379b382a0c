//! What this process is called, and where it runs: for whoever looks at several of them.

use serde::Serialize;

use crate::BuildError;

/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 64;
const INSTANCE_VARIABLE: &str = "PITCREW_INSTANCE";
const ENVIRONMENT_VARIABLE: &str = "PITCREW_ENVIRONMENT";

/// None where nobody has said it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Instance {
    pub(crate) name: Option<String>,
    pub(crate) environment: Option<String>,
}

impl Instance {
    /// What the app says, else what its process's environment does.
    pub(crate) fn new(
        name: Option<String>,
        environment: Option<String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, BuildError> {
        let named = |said: Option<String>, name: &str| {
            let said = said.or_else(|| variable(name).filter(|value| !value.is_empty()));
            match said {
                Some(said) if !is_name(&said) => Err(BuildError::InstanceName),
                said => Ok(said),
            }
        };
        Ok(Self {
            name: named(name, INSTANCE_VARIABLE)?,
            environment: named(environment, ENVIRONMENT_VARIABLE)?,
        })
    }
}

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: Option<&str>, variable: &str) -> Result<Option<String>, BuildError> {
        let of = |asked: &str| (asked == INSTANCE_VARIABLE).then(|| variable.to_owned());
        Instance::new(name.map(str::to_owned), None, of).map(|instance| instance.name)
    }

    #[test]
    fn the_app_says_it_before_the_environment_does_and_what_cannot_be_shown_is_refused() {
        let is = |found: Result<Option<String>, BuildError>, wanted: Option<&str>| {
            assert_eq!(found.expect("a name").as_deref(), wanted);
        };
        is(named(Some("web-1"), "web-2"), Some("web-1"));
        is(named(None, "web-2"), Some("web-2"));
        is(named(None, ""), None);
        for wrong in ["", "a\nb", &"x".repeat(65)] {
            assert!(
                matches!(named(Some(wrong), ""), Err(BuildError::InstanceName)),
                "{wrong:?}"
            );
        }
        assert!(named(None, "a\u{1b}[1m").is_err());
    }
}

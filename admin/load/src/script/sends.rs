//! What a step sends, checked.

use std::collections::BTreeMap;

use http::{HeaderName, Method};

use super::Step;
use super::compile::Names;
#[cfg(feature = "postgres")]
use super::compiled::Prepared;
use super::compiled::Sends;
use super::template::{Form, Template};
use crate::plan::{MAX_BODY_BYTES, PlanError, checked_headers, checked_path, wrong};

/// In the place of a value where the text around it is checked.
const EXAMPLE: &str = "x";

impl Names<'_> {
    pub(super) fn http(
        &mut self,
        step: &Step,
        field: &str,
        common: &BTreeMap<String, String>,
    ) -> Result<Sends, PlanError> {
        let at = |name: &str| format!("{field}.{name}");
        let method = match Method::from_bytes(step.method.as_bytes()) {
            Ok(method) if method != Method::CONNECT => method,
            _ => return wrong(&at("method"), "wants an HTTP method such as GET"),
        };
        let path = self.template(&step.path, &at("path"))?;
        let example = vec![EXAMPLE.to_owned(); self.slots];
        checked_path(&path.render(&example, Form::Path)).map_err(|error| PlanError {
            field: at("path"),
            ..error
        })?;
        let mut headers = Vec::new();
        let own = step.headers.iter().map(|header| (header, at("headers")));
        let before = common.iter().map(|header| (header, "headers".to_owned()));
        for ((name, value), field) in before.chain(own) {
            let field = format!("{field}.{name}");
            let template = self.template(value, &field)?;
            let example = vec![EXAMPLE.to_owned(); self.slots];
            let example = template.render(&example, Form::Plain);
            let checked = checked_headers(&[(name.clone(), example)].into());
            checked.map_err(|error| PlanError { field, ..error })?;
            // It was one a line above.
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
                continue;
            };
            headers.retain(|(other, _)| *other != name);
            headers.push((name, template));
        }
        let body = self.body(step.body.as_deref().unwrap_or_default(), &at("body"))?;
        Ok(Sends::Http {
            method,
            path,
            headers,
            body,
        })
    }

    fn body(&mut self, text: &str, field: &str) -> Result<Template, PlanError> {
        if text.len() > MAX_BODY_BYTES {
            return wrong(
                field,
                format!("wants at most {MAX_BODY_BYTES} bytes, has {}", text.len()),
            );
        }
        self.template(text, field)
    }

    #[cfg(feature = "postgres")]
    pub(super) fn sql(
        &mut self,
        step: &super::PostgresStep,
        field: &str,
    ) -> Result<Sends, PlanError> {
        let at = |name: &str| format!("{field}.{name}");
        crate::plan::check_sql(&step.sql, &at("sql"))?;
        crate::plan::check_parameters(&step.parameters, &at("parameters"))?;
        let mut parameters = Vec::new();
        for (number, text) in step.parameters.iter().enumerate() {
            let field = at(&format!("parameters[{number}]"));
            parameters.push(match text {
                Some(text) => Some(self.template(text, &field)?),
                None => None,
            });
        }
        let captured = step.capture.iter().filter_map(|(name, capture)| {
            let super::Capture::Column(column) = capture else {
                return None;
            };
            Some((at(&format!("capture.{name}.column")), column.clone()))
        });
        self.statements.push(Prepared {
            sql: step.sql.clone(),
            field: field.to_owned(),
            parameters: parameters.len(),
            columns: captured.collect(),
        });
        Ok(Sends::Sql {
            statement: self.statements.len() - 1,
            parameters,
        })
    }

    #[cfg(feature = "websocket")]
    pub(super) fn message(
        &mut self,
        step: &super::WebSocketStep,
        field: &str,
    ) -> Result<Sends, PlanError> {
        use super::compiled::Content;
        let at = |name: &str| format!("{field}.{name}");
        crate::plan::check_reply(&step.reply, &at("reply"))?;
        let content = match &step.send {
            None => None,
            Some(crate::WebSocketMessage::Text(text)) => {
                Some(Content::Text(self.body(text, &at("send.text"))?))
            }
            Some(message) => {
                let (bytes, _) = crate::plan::checked_message(message, &at("send"))?;
                Some(Content::Binary(bytes))
            }
        };
        let (is_echo, is_nothing) = (
            step.reply == crate::Reply::Echo,
            step.reply == crate::Reply::Nothing,
        );
        if content.is_none() && (is_echo || is_nothing) {
            return wrong(
                &at("reply"),
                "`echo` and `nothing` are of a step that sends",
            );
        }
        if is_nothing && (!step.expect.is_usual() || !step.capture.is_empty()) {
            return wrong(
                &at("reply"),
                "`nothing` leaves nothing to expect or to capture",
            );
        }
        Ok(Sends::Message {
            content,
            reply: step.reply.clone(),
        })
    }
}

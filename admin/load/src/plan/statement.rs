//! A statement of PostgreSQL, of a plan or of a step.

use std::ffi::CString;

use super::{MAX_BODY_BYTES, PlanError, wrong};

/// The protocol counts parameters in 16 bits.
pub(super) const MAX_PARAMETERS: usize = 65_535;

/// Its text.
pub(crate) fn check_sql(sql: &str, field: &str) -> Result<(), PlanError> {
    if sql.trim().is_empty() {
        return wrong(field, "wants a statement such as SELECT 1");
    }
    if sql.len() > MAX_BODY_BYTES {
        return wrong(
            field,
            format!("wants at most {MAX_BODY_BYTES} bytes, has {}", sql.len()),
        );
    }
    if CString::new(sql).is_err() {
        return wrong(field, "holds a zero byte, which PostgreSQL does not take");
    }
    Ok(())
}

/// Its parameters.
pub(crate) fn check_parameters(
    parameters: &[Option<String>],
    field: &str,
) -> Result<(), PlanError> {
    if parameters.len() > MAX_PARAMETERS {
        return wrong(field, format!("wants at most {MAX_PARAMETERS}"));
    }
    let mut bytes = 0;
    for (number, parameter) in parameters.iter().enumerate() {
        let text = parameter.as_deref().unwrap_or_default();
        bytes += text.len();
        if text.contains('\0') {
            return wrong(
                &format!("{field}[{number}]"),
                "holds a zero byte, which PostgreSQL does not take",
            );
        }
    }
    if bytes > MAX_BODY_BYTES {
        return wrong(
            field,
            format!("want at most {MAX_BODY_BYTES} bytes together, have {bytes}"),
        );
    }
    Ok(())
}

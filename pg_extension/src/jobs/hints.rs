//! What to do about an error of a job that brings no hint of its own. Codes: "PostgreSQL Error Codes" of its manual.

/// A sentence for a SQLSTATE, where there is something to say.
pub(super) fn of(sqlstate: &str) -> Option<&'static str> {
    Some(match sqlstate {
        "55P03" | "40P01" => {
            "Somebody else held the lock: look at pg_blocking_pids(), or raise pitcrew.job_lock_timeout or pitcrew.job_lock_retries."
        }
        "57014" => {
            "It was cancelled, or ran longer than pitcrew.job_statement_timeout or the role's statement_timeout."
        }
        "57P01" | "57P02" => "The worker or the server was stopped: submit the job again.",
        "42501" => {
            "The job runs with the rights of the role that submits it, as they are when it starts."
        }
        "28000" => {
            "The job's worker connects as the submitter: the role has to exist and be allowed to log in."
        }
        "3D000" | "42P01" => "The target is gone: nothing is left to do.",
        "53100" => "Free disk space, then submit the job again.",
        "53200" => "Lower maintenance_work_mem, then submit the job again.",
        "53300" => "Raise max_connections, or submit the job when fewer sessions are open.",
        "23505" => "The rows are not unique: mend them before the index is built.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn errors_that_a_job_meets_have_a_hint_and_a_success_has_none() {
        for code in ["55P03", "57014", "57P02", "42501", "28000", "53100"] {
            assert!(of(code).is_some_and(|hint| hint.ends_with('.')), "{code}");
        }
        assert_eq!(of(""), None);
    }
}

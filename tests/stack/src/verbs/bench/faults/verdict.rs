//! What must never have happened, counted.

use pitcrew_stack::bench::{Figure, Interval};
use pitcrew_stack::{Error, Result};

use super::world::{ROLES, World};

pub(super) fn figures(world: &World, seed: u64) -> Result<Vec<Figure>> {
    let known: Vec<i64> = world
        .rows("SELECT id FROM pitcrew.jobs")?
        .iter()
        .filter_map(|row| row.first()?.as_deref()?.parse().ok())
        .collect();
    let lost: Vec<_> = world
        .jobs()
        .iter()
        .filter(|(id, _)| !known.contains(id))
        .collect();
    let counts = [
        ("faults_jobs_lost", lost.len() as i64),
        (
            "faults_jobs_without_an_end",
            world.count(
                "SELECT count(*) FROM pitcrew.jobs WHERE state NOT IN ('done', 'failed', 'cancelled') OR finished_at IS NULL",
            )?,
        ),
        // A view belongs to one job. It was refreshed once if the job is done, and never twice, whatever struck.
        (
            "faults_jobs_run_twice",
            world.count("SELECT count(*) FROM (SELECT view FROM runs GROUP BY view HAVING count(*) > 1) v")?,
        ),
        (
            "faults_jobs_done_without_effect",
            world.count(
                "SELECT count(*) FROM pitcrew.jobs j WHERE state = 'done' AND CASE kind \
                 WHEN 'refresh_matview' THEN NOT EXISTS (SELECT 1 FROM runs r WHERE 'view_' || r.view = j.target::text) \
                 WHEN 'create_index' THEN NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indexrelid = j.index_oid AND i.indisvalid) \
                 ELSE false END",
            )?,
        ),
        (
            "faults_jobs_as_the_wrong_user",
            world.count(&format!(
                "SELECT (SELECT count(*) FROM runs WHERE role <> (ARRAY['{}', '{}'])[1 + view % 2]) \
                 + (SELECT count(*) FROM pitcrew.jobs j JOIN pg_class c ON c.oid = j.target \
                    WHERE j.state = 'done' AND j.submitter::oid <> c.relowner)",
                ROLES[0], ROLES[1]
            ))?,
        ),
        (
            "faults_invalid_indexes",
            world.count("SELECT count(*) FROM pg_index WHERE NOT indisvalid OR NOT indisready")?,
        ),
        (
            "faults_leftover_indexes",
            world.count("SELECT count(*) FROM pg_class WHERE relname ~ '_cc(new|old)[0-9]*$'")?,
        ),
    ];
    if let Some((first, _)) = lost.first() {
        return Err(Error::Extension(format!(
            "{} accepted jobs are not in the table, first {first}; PITCREW_SEED={seed}",
            lost.len()
        )));
    }
    // Where little is done, nothing of the above says much.
    let not_refreshed = world.count(
        "SELECT (count(*) FILTER (WHERE state <> 'done') > count(*) / 2)::int FROM pitcrew.jobs WHERE kind = 'refresh_matview'",
    )?;
    let not_cancelled = world
        .count("SELECT (count(*) FILTER (WHERE state = 'cancelled') = 0)::int FROM pitcrew.jobs")?;
    let controls = [
        ("more than half of the refreshes not done", not_refreshed),
        ("no job cancelled", not_cancelled),
    ];
    let broken: Vec<String> = counts
        .iter()
        .chain(&controls)
        .filter(|(_, count)| *count != 0)
        .map(|(name, count)| format!("{name} is {count}"))
        .collect();
    if !broken.is_empty() {
        return Err(Error::Extension(format!(
            "{}; PITCREW_SEED={seed}",
            broken.join(", ")
        )));
    }
    let jobs = ("faults_jobs", world.accepted() as i64);
    Ok(std::iter::once(jobs)
        .chain(counts)
        .map(|(name, count)| {
            let value = count as f64;
            let reading = Interval {
                value,
                low: value,
                high: value,
            };
            Figure::own(name, "count", reading)
        })
        .collect())
}

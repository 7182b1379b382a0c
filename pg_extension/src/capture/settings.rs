//! Settings `pitcrew.capture*` and `pitcrew.show_values`.

use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum};
use pgrx::pg_sys;

/// Which executions are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PostgresGucEnum)]
pub(crate) enum Mode {
    /// None: a branch a statement.
    #[name = c"off"]
    Off,
    /// Slow ones, a share of them; those that fail, the same share.
    #[name = c"sample"]
    Sample,
    /// Every slow one, and every one that fails.
    #[name = c"all"]
    All,
}

/// Which executions are looked at.
pub(crate) static CAPTURE: GucSetting<Mode> = GucSetting::<Mode>::new(Mode::Off);
/// Milliseconds from which on an execution is slow.
pub(crate) static MIN_DURATION_MS: GucSetting<f64> = GucSetting::<f64>::new(100.0);
/// Share of the slow and failed executions that `sample` keeps.
pub(crate) static SAMPLE_RATE: GucSetting<f64> = GucSetting::<f64>::new(0.1);
/// Executions that there is room for.
pub(crate) static SLOTS: GucSetting<i32> = GucSetting::<i32>::new(512);
/// Parameter values and literals are kept.
pub(crate) static VALUES: GucSetting<bool> = GucSetting::<bool>::new(true);
/// Other users' values are shown.
pub(crate) static SHOW_VALUES: GucSetting<bool> = GucSetting::<bool>::new(false);

/// Registers the settings.
pub(crate) fn define() {
    GucRegistry::define_enum_guc(
        c"pitcrew.capture",
        c"Which executions of statements are captured: off, sample or all.",
        c"Slow ones, failed and cancelled ones, with their text and parameter values. sample keeps pitcrew.capture_sample_rate of them.",
        &CAPTURE,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_float_guc(
        c"pitcrew.capture_min_duration",
        c"How long an execution takes that is captured.",
        c"0 captures every one. Failed and cancelled ones are captured however long they took.",
        &MIN_DURATION_MS,
        0.0,
        86_400_000.0,
        GucContext::Suset,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_float_guc(
        c"pitcrew.capture_sample_rate",
        c"Which share of slow, failed and cancelled executions pitcrew.capture = sample keeps.",
        c"From 0 to 1.",
        &SAMPLE_RATE,
        0.0,
        1.0,
        GucContext::Suset,
        GucFlags::default(),
    );
    // The server takes no setting of its start from a library that is loaded later, and would raise an error.
    // SAFETY: a flag of the server's, on the only thread.
    if unsafe { pg_sys::process_shared_preload_libraries_in_progress } {
        GucRegistry::define_int_guc(
            c"pitcrew.capture_slots",
            c"How many executions there is room for, in 8 KiB of shared memory each.",
            c"Rounded up to a multiple of 8. 0 takes no memory and captures nothing.",
            &SLOTS,
            0,
            16_384,
            GucContext::Postmaster,
            GucFlags::default(),
        );
    }
    GucRegistry::define_bool_guc(
        c"pitcrew.capture_values",
        c"Whether parameter values and literals are captured.",
        c"Off, a text is kept without its literals, and no value ever reaches shared memory.",
        &VALUES,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"pitcrew.show_values",
        c"Whether values and literals of other users' statements are shown.",
        c"To those who may see the statements at all: superusers and members of pg_read_all_stats.",
        &SHOW_VALUES,
        GucContext::Suset,
        GucFlags::default(),
    );
}

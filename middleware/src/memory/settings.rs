//! What the builder decides.

use std::{path::PathBuf, time::Duration};

use super::guard::Checked;
use crate::{clock::Clock, route::Labeler};

pub(super) struct Settings {
    pub(super) interval: Duration,
    pub(super) max_routes: usize,
    pub(super) labeler: Labeler,
    pub(super) clock: Clock,
    pub(super) root: PathBuf,
    pub(super) guard: Option<Checked>,
    pub(super) release_above: Option<u64>,
    pub(super) release_pause: Duration,
}

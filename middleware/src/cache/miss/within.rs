//! Which caches a request is on its way through, so that none waits for itself.

use std::sync::Arc;

use http::request::Parts;

use crate::cache::shared::Shared;

/// The caches that a request is within, on its way to the handler; the innermost one first.
#[derive(Clone)]
pub(in crate::cache) struct Within {
    cache: usize,
    around: Option<Arc<Self>>,
}

impl Within {
    pub(in crate::cache) fn this(parts: &Parts, shared: &Arc<Shared>) -> bool {
        let cache = Arc::as_ptr(shared) as usize;
        let innermost = parts.extensions.get::<Self>();
        let mut all = std::iter::successors(innermost, |within| within.around.as_deref());
        all.any(|within| within.cache == cache)
    }

    pub(in crate::cache) fn enter(parts: &mut Parts, shared: &Arc<Shared>) {
        let around = parts.extensions.remove::<Self>().map(Arc::new);
        let cache = Arc::as_ptr(shared) as usize;
        parts.extensions.insert(Self { cache, around });
    }
}

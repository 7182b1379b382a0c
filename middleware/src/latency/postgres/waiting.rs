//! [`Waiting`]: the time in which something that comes bit by bit is waited for.

use std::task::Poll;

use crate::latency::segments::{DATABASE, Token, close, open};

/// An open segment of [`DATABASE`] from a poll that has to wait to the one that need not; what the app does in between two waits is
/// its own.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Option<Token>);

impl Waiting {
    /// Passes on what a poll gave.
    pub(crate) fn seen<T>(&mut self, poll: Poll<T>) -> Poll<T> {
        if poll.is_ready() {
            self.end();
        } else if self.0.is_none() {
            self.0 = open(DATABASE);
        }
        poll
    }

    fn end(&mut self) {
        if let Some(token) = self.0.take() {
            close(token);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.end();
    }
}

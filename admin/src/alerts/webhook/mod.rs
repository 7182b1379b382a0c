//! Alerts to a web address of the configuration, signed as Standard Webhooks has it (feature `webhook`).

mod delivery;
mod network;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::mpsc;

use super::{Alert, AlertSink};
use delivery::Destination;

/// So many alerts wait; one more is dropped and counted.
const WAITING: usize = 64;
/// The shortest secret: 24 bytes, as Standard Webhooks has it.
const MIN_SECRET_BYTES: usize = 24;
/// What a secret begins with that is given as base64, as Standard Webhooks writes them.
const ENCODED: &[u8] = b"whsec_";
/// The pauses before each further try.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
];

/// Sends each alert as JSON by POST, signed (`webhook-id`, `webhook-timestamp`, `webhook-signature`: HMAC-SHA256, Standard
/// Webhooks 1.0.0).
///
/// The name is resolved at each try and the connection goes to the address that was looked at; addresses of private networks,
/// of this machine and of cloud metadata are refused unless [`allow_private`](Self::allow_private) says otherwise. Redirects
/// are not followed. A try takes ten seconds at most; one that fails is made again after 1, 5, 30 and 120 seconds. At most 64
/// alerts wait.
#[derive(Debug, Clone)]
pub struct Webhook {
    inner: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    destination: Arc<Destination>,
    queue: Mutex<Option<mpsc::Sender<(String, String)>>>,
    figures: Arc<Figures>,
}

/// What became of the alerts.
#[derive(Debug, Default)]
struct Figures {
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

/// What became of a webhook's alerts so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebhookFigures {
    /// Answered with a 2xx status.
    pub sent: u64,
    /// Given up after the last try.
    pub failed: u64,
    /// Not tried: too many waited, or there was no runtime.
    pub dropped: u64,
}

/// A webhook that cannot work. The texts repeat neither address nor secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// The address is none.
    #[error(
        "the webhook's address is none: write https://host/path, without a user or a password in it"
    )]
    Address,
    /// The secret protects nothing.
    #[error(
        "the webhook's secret has fewer than {MIN_SECRET_BYTES} bytes, or is no base64 after `whsec_`: make one with \
         `printf 'whsec_%s\\n' \"$(openssl rand -base64 32)\"`"
    )]
    Secret,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

impl Webhook {
    /// Alerts go to `url` (`https://` or `http://`), signed with `secret`: at least 24 bytes, or `whsec_` and their base64, as
    /// Standard Webhooks writes them and receivers' libraries take them.
    ///
    /// # Errors
    /// [`WebhookError`] says what cannot be used.
    pub fn new(url: &str, secret: impl AsRef<[u8]>) -> Result<Self, WebhookError> {
        let secret = match secret.as_ref().strip_prefix(ENCODED) {
            Some(encoded) => STANDARD.decode(encoded.trim_ascii()),
            None => Ok(secret.as_ref().to_vec()),
        };
        let secret = secret.ok().filter(|key| key.len() >= MIN_SECRET_BYTES);
        let destination = Destination::new(url, secret.ok_or(WebhookError::Secret)?)?;
        Ok(Self::to(destination))
    }

    fn to(destination: Destination) -> Self {
        Self {
            inner: Arc::new(Shared {
                destination: Arc::new(destination),
                queue: Mutex::default(),
                figures: Arc::default(),
            }),
        }
    }

    /// Lets it go to addresses of private networks and of this machine. Call it before the webhook is given away: it begins
    /// anew.
    #[must_use]
    pub fn allow_private(self, allow: bool) -> Self {
        let mut destination = Destination::clone(&self.inner.destination);
        destination.may_be_private = allow;
        Self::to(destination)
    }

    /// What became of the alerts so far.
    #[must_use]
    pub fn figures(&self) -> WebhookFigures {
        let figures = &self.inner.figures;
        WebhookFigures {
            sent: figures.sent.load(Ordering::Relaxed),
            failed: figures.failed.load(Ordering::Relaxed),
            dropped: figures.dropped.load(Ordering::Relaxed),
        }
    }
}

impl AlertSink for Webhook {
    fn tell(&self, alert: &Alert) {
        let body = serde_json::to_string(alert).unwrap_or_default();
        // The id is the same at each try, so that the receiver knows a repeated one.
        let id = format!("{}-{}-{}", alert.rule, alert.id, alert.at);
        let mut queue = self
            .inner
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_open = queue.as_ref().is_some_and(|queue| !queue.is_closed());
        if !is_open && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (sender, receiver) = mpsc::channel(WAITING);
            let (destination, figures) = (&self.inner.destination, &self.inner.figures);
            runtime.spawn(work(receiver, Arc::clone(destination), Arc::clone(figures)));
            *queue = Some(sender);
        }
        let is_taken = queue
            .as_ref()
            .is_some_and(|queue| queue.try_send((id, body)).is_ok());
        if !is_taken {
            self.inner.figures.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Sends one after the other, until nobody is left who could tell of more.
async fn work(
    mut queue: mpsc::Receiver<(String, String)>,
    destination: Arc<Destination>,
    figures: Arc<Figures>,
) {
    while let Some((id, body)) = queue.recv().await {
        let mut outcome = destination.send(&id, &body).await;
        for pause in PAUSES {
            let Err(error) = &outcome else { break };
            if !error.may_pass() {
                break;
            }
            tokio::time::sleep(pause).await;
            outcome = destination.send(&id, &body).await;
        }
        match outcome {
            Ok(()) => figures.sent.fetch_add(1, Ordering::Relaxed),
            Err(error) => {
                tracing::warn!(%error, "an alert did not reach the webhook");
                figures.failed.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}

#[cfg(test)]
mod tests;

//! Live revenue over a WebSocket: each new order is told to everyone who listens.

use axum::extract::ws::{Message, WebSocket};
use tokio::sync::broadcast;

/// So many orders may wait for a slow listener; what is older is dropped for that listener alone.
const BACKLOG: usize = 64;

/// The channel between `POST /orders` and the listeners.
pub(crate) struct Live {
    orders: broadcast::Sender<String>,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            orders: broadcast::channel(BACKLOG).0,
        }
    }

    pub(crate) fn tell(&self, order: String) {
        // Nobody may be listening.
        let _ = self.orders.send(order);
    }

    /// A listener that hears every order from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<String> {
        self.orders.subscribe()
    }
}

/// Sends each order until the listener leaves.
pub(crate) async fn serve(mut socket: WebSocket, mut orders: broadcast::Receiver<String>) {
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Ok(order) => {
                    if socket.send(Message::from(order)).await.is_err() {
                        return;
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
}

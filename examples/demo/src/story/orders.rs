//! The acts of a new order: it purges what it changed, and listeners hear of it.

use std::time::Duration;

use futures_util::StreamExt;
use http::{Method, StatusCode};
use serde_json::Value;

use super::{Story, Verdict};
use crate::Failure;
use crate::visitors::Client;

impl Story {
    /// An order purges what it changed: whoever asks next sees it.
    pub(super) async fn write_and_read(&self, verdict: &mut Verdict) -> Result<(), Failure> {
        let mut client = Client::connect(self.app.address).await?;
        let path = "/customers/1/orders";
        client.send(Method::GET, path, &[], None).await?;
        let cached = client.send(Method::GET, path, &[], None).await?;
        let new = r#"{"customer": 1, "part": 1, "quantity": 3}"#.to_owned();
        let added = client.send(Method::POST, "/orders", &[], Some(new)).await?;
        let key = serde_json::from_slice::<Value>(&added.body)?["key"].clone();
        let after = client.send(Method::GET, path, &[], None).await?;
        let orders: Value = serde_json::from_slice(&after.body)?;
        let is_there = orders
            .as_array()
            .is_some_and(|orders| orders.iter().any(|order| order["key"] == key));
        let is_right =
            cached.is_hit() && added.status == StatusCode::CREATED && is_there && !key.is_null();
        verdict.check(
            "a new order is seen at once by whoever asks next",
            is_right,
            format!("order {key}"),
        );
        self.say(if is_right {
            "A new order purged what it changed: the customer's next answer had it."
        } else {
            "A new order is MISSING from the customer's next answer."
        });
        Ok(())
    }

    /// A listener on the WebSocket hears of a new order.
    pub(super) async fn live(&self, verdict: &mut Verdict) -> Result<(), Failure> {
        let (mut socket, _) =
            tokio_tungstenite::connect_async(format!("ws://{}/live", self.app.address)).await?;
        let mut client = Client::connect(self.app.address).await?;
        let new = r#"{"customer": 2, "part": 2, "quantity": 1}"#.to_owned();
        let added: Value = serde_json::from_slice(
            &client
                .send(Method::POST, "/orders", &[], Some(new))
                .await?
                .body,
        )?;
        let message = tokio::time::timeout(Duration::from_secs(5), socket.next()).await;
        let heard = message
            .ok()
            .flatten()
            .and_then(Result::ok)
            .map(|message| message.to_string())
            .unwrap_or_default();
        let order: Value = serde_json::from_str(&heard).unwrap_or_default();
        verdict.check(
            "the WebSocket told of a new order",
            order["key"] == added["key"] && !order["key"].is_null(),
            heard,
        );
        Ok(())
    }
}

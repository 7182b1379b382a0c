//! Runs against WebSocket servers on loopback.

#![cfg(feature = "websocket")]

mod connections;
mod idle;
mod replies;
mod server;
#[cfg(feature = "scripts")]
mod visits;

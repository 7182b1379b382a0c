//! Runs by TLS, against real servers on loopback.

#![cfg(feature = "tls")]

mod http1;
#[cfg(feature = "http2")]
mod http2;
#[cfg(feature = "postgres-tls")]
mod postgres;
mod server;
#[cfg(feature = "websocket")]
mod websocket;

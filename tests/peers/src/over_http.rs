//! The origin behind the servers that are compared, and the clients in front of them.

use std::time::Instant;

use axum::Router;
use axum::routing::any;
use bytes::Bytes;
use http::header;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::contenders::KEYS;
use crate::handler::BODY_BYTES;
use crate::hits::runtime;

/// Connections at once, each with one request under way.
const CONNECTIONS: usize = 32;

/// Serves 2 KiB for every path until it is ended.
pub(crate) fn origin(address: &str) {
    runtime().block_on(async {
        let body = Bytes::from(vec![b'x'; BODY_BYTES]);
        let headers = [
            (header::CACHE_CONTROL, "max-age=3600"),
            (header::CONTENT_TYPE, "application/json"),
            (header::ETAG, "\"1\""),
        ];
        let app = Router::new().fallback(any(move || {
            let body = body.clone();
            async move { (headers, body) }
        }));
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .expect("a port");
        axum::serve(listener, app).await.expect("to serve");
    });
}

/// Sends `count` requests over [`CONNECTIONS`] connections and answers requests a second. One thread has them all: were
/// each client asleep while it waits, the servers would pay for waking it.
pub(crate) fn load(address: &str, count: usize) -> f64 {
    runtime().block_on(async {
        let begin = Instant::now();
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|connection| {
                let keys = (connection..count).step_by(CONNECTIONS);
                tokio::spawn(client(address.to_owned(), keys))
            })
            .collect();
        for client in clients {
            client.await.expect("a client").expect("answers");
        }
        count as f64 / begin.elapsed().as_secs_f64()
    })
}

/// One connection: asks for each key in turn.
async fn client(address: String, keys: impl Iterator<Item = usize>) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut received = vec![0; 16 << 10];
    for key in keys {
        let request = format!(
            "GET /items/{} HTTP/1.1\r\nhost: example.org\r\nuser-agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
             accept: */*\r\naccept-encoding: gzip, br\r\n\r\n",
            key % KEYS
        );
        stream.write_all(request.as_bytes()).await?;
        let mut length = 0;
        loop {
            let count = stream.read(&mut received[length..]).await?;
            if count == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            length += count;
            if let Some(head) = head_bytes(&received[..length]) {
                if !received.starts_with(b"HTTP/1.1 200") {
                    return Err(std::io::Error::other("an answer that is not 200"));
                }
                // All of them say a length of two KiB; one that did not would never end, or end wrong.
                if length == head + BODY_BYTES {
                    break;
                }
            }
        }
    }
    Ok(())
}

fn head_bytes(received: &[u8]) -> Option<usize> {
    let end = received
        .windows(4)
        .position(|window| window == b"\r\n\r\n")?;
    Some(end + 4)
}

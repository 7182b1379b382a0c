//! Servers, well-behaved and not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use futures_util::{SinkExt, StreamExt};
use pitcrew_load::{Load, Report, Target, WebSocketPlan, start_websocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_websockets::{CloseCode, Message, ServerBuilder};

/// What a server does with a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Temper {
    /// Sends it back.
    Echo,
    /// Says something else first, and asks for a pong.
    Chatty,
    /// Says nothing.
    Silent,
    /// Answers with something else.
    Wrong,
    /// Closes with this code.
    Closes(u16),
    /// Sends it back, then closes with this code.
    ClosesAfterwards(u16),
    /// Ends the connection without a word.
    Leaves,
    /// Sends what is no frame.
    Nonsense,
    /// Answers the handshake with this status.
    Status(u16),
    /// Answers the handshake with what is no HTTP.
    NoHttp,
    /// Ends the connection within the handshake.
    NoHandshake,
}

/// A server, the connections it took and the pongs it got.
pub(crate) struct Server {
    pub(crate) target: Target,
    pub(crate) connections: Arc<AtomicU64>,
    pub(crate) pongs: Arc<AtomicU64>,
}

async fn serve(mut stream: TcpStream, temper: Temper, pongs: &AtomicU64) -> Option<()> {
    let before = match temper {
        Temper::Status(status) => {
            Some(format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n"))
        }
        Temper::NoHttp => Some("SSH-2.0-nonsense\r\n\r\n".to_owned()),
        Temper::NoHandshake => Some(String::new()),
        _ => None,
    };
    if let Some(before) = before {
        let _ = stream.read(&mut [0; 4_096]).await;
        return stream.write_all(before.as_bytes()).await.ok();
    }
    let (request, mut socket) = ServerBuilder::new().accept(stream).await.ok()?;
    assert!(request.headers().contains_key(pitcrew_load::RUN_HEADER));
    while let Some(Ok(message)) = socket.next().await {
        if message.is_pong() {
            pongs.fetch_add(1, Relaxed);
        }
        if !message.is_text() && !message.is_binary() {
            continue;
        }
        let close = |code: u16| Message::close(CloseCode::try_from(code).ok(), "");
        match temper {
            Temper::Chatty => {
                socket.send(Message::ping("there?")).await.ok()?;
                socket.send(Message::text("news")).await.ok()?;
                socket.send(message).await.ok()?;
            }
            Temper::Silent => {}
            Temper::Wrong => socket.send(Message::text("no")).await.ok()?,
            Temper::Closes(code) => {
                socket.send(close(code)).await.ok()?;
            }
            Temper::ClosesAfterwards(code) => {
                socket.send(message).await.ok()?;
                socket.send(close(code)).await.ok()?;
            }
            Temper::Leaves => return None,
            Temper::Nonsense => socket.get_mut().write_all(&[0xff; 16]).await.ok()?,
            _ => socket.send(message).await.ok()?,
        }
    }
    Some(())
}

pub(crate) async fn server(temper: Temper) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("address");
    let server = Server {
        target: Target::resolve(&format!("ws://{address}")).expect("resolves"),
        connections: Arc::default(),
        pongs: Arc::default(),
    };
    let (connections, pongs) = (Arc::clone(&server.connections), Arc::clone(&server.pongs));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            connections.fetch_add(1, Relaxed);
            let pongs = Arc::clone(&pongs);
            tokio::spawn(async move { serve(stream, temper, &pongs).await });
        }
    });
    server
}

pub(crate) fn plan(requests: u64) -> WebSocketPlan {
    WebSocketPlan {
        load: Load {
            connections: Some(4),
            requests: Some(requests),
            timeout_ms: 100,
            ..Load::default()
        },
        ..WebSocketPlan::default()
    }
}

pub(crate) async fn report(plan: &WebSocketPlan, target: &Target) -> Report {
    let run = start_websocket("7", plan, target).expect("starts");
    run.finished().await.clone()
}

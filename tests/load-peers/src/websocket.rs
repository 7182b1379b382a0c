//! An echo server, and the least of a client on each library.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fastwebsockets::{Frame, Payload, Role, WebSocket};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, protocol};
use tokio_websockets::{ClientBuilder, Message, ServerBuilder};

/// What is sent and comes back.
pub(crate) const MESSAGE: &str = "sixty-four bytes, as a short message of a chat or a quote may be";

/// Prints its address, then serves on one thread until it is ended.
pub(crate) fn serve() -> Vec<f64> {
    on_one_thread(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let _ = stream.set_nodelay(true);
            spawn_local(async move {
                let Ok((_, mut socket)) = ServerBuilder::new().accept(stream).await else {
                    return;
                };
                while let Some(Ok(message)) = socket.next().await {
                    let is_data = message.is_text() || message.is_binary();
                    if is_data && socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    })
}

fn on_one_thread<F: Future>(work: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, work)
}

/// Messages a second, CPU seconds of the whole process, resident memory in MiB, messages.
pub(crate) fn by(peer: &str, address: &str, connections: u32, seconds: f64) -> Option<Vec<f64>> {
    let count: Rc<Cell<u64>> = Rc::default();
    let begin = Instant::now();
    let until = begin + Duration::from_secs_f64(seconds);
    let clients = async {
        let mut clients = Vec::new();
        for _ in 0..connections {
            let (stream, count) = (connected(address).await, Rc::clone(&count));
            clients.push(match peer {
                "tokio-tungstenite" => spawn_local(by_tungstenite(stream, until, count)),
                "fastwebsockets" => spawn_local(by_fastwebsockets(stream, until, count)),
                "tokio-websockets" => spawn_local(by_websockets(stream, until, count)),
                _ => return None,
            });
        }
        for client in clients {
            client.await.expect("no panic").expect("an echo");
        }
        Some(())
    };
    on_one_thread(clients)?;
    let rate = count.get() as f64 / begin.elapsed().as_secs_f64();
    let (cpu, rss) = crate::ours::usage();
    Some(vec![rate, cpu, rss, count.get() as f64])
}

/// The same handshake for each of them; what the server answers is not looked at.
async fn connected(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("an option");
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer"));
    }
    stream
}

type Ended = Result<(), Box<dyn std::error::Error>>;

async fn by_tungstenite(stream: TcpStream, until: Instant, count: Rc<Cell<u64>>) -> Ended {
    let role = protocol::Role::Client;
    let mut socket = WebSocketStream::from_raw_socket(stream, role, None).await;
    while Instant::now() < until {
        let message = tungstenite::Message::text(tungstenite::Utf8Bytes::from_static(MESSAGE));
        socket.send(message).await?;
        let reply = socket.next().await.ok_or("closed")??;
        assert_eq!(reply.into_data(), MESSAGE.as_bytes());
        count.set(count.get() + 1);
    }
    Ok(())
}

async fn by_fastwebsockets(stream: TcpStream, until: Instant, count: Rc<Cell<u64>>) -> Ended {
    let mut socket = WebSocket::after_handshake(stream, Role::Client);
    while Instant::now() < until {
        let payload = Payload::Borrowed(MESSAGE.as_bytes());
        socket.write_frame(Frame::text(payload)).await?;
        let reply = socket.read_frame().await?;
        assert_eq!(&*reply.payload, MESSAGE.as_bytes());
        count.set(count.get() + 1);
    }
    Ok(())
}

async fn by_websockets(stream: TcpStream, until: Instant, count: Rc<Cell<u64>>) -> Ended {
    let mut socket = ClientBuilder::new().take_over(stream);
    while Instant::now() < until {
        socket.send(Message::text(MESSAGE)).await?;
        let reply = socket.next().await.ok_or("closed")??;
        assert_eq!(&**reply.as_payload(), MESSAGE.as_bytes());
        count.set(count.get() + 1);
    }
    Ok(())
}

//! One HTTP/1.1 connection that sends one request after the other.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::patience::Patience;
use crate::plan::Checked;
use crate::record::{Answer, ErrorKind};
use crate::targets::Target;

/// Connecting takes at most a second: an unreachable target is to be known soon.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// After a refused connection the next try waits, so that a dead target is not hammered.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(50);

pub(super) struct Connection<'a> {
    plan: &'a Checked,
    target: &'a Target,
    headers: HeaderMap,
    patience: Patience,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// What came of one request.
pub(super) struct Exchange {
    pub(super) sent: Instant,
    pub(super) ended: Instant,
    pub(super) outcome: Result<Answer, ErrorKind>,
}

impl<'a> Connection<'a> {
    pub(super) fn new(plan: &'a Checked, target: &'a Target, run: &str) -> Self {
        let mut headers = plan.headers.clone();
        if let Ok(host) = HeaderValue::from_str(target.authority()) {
            headers.insert(http::header::HOST, host);
        }
        if let Ok(run) = HeaderValue::from_str(run) {
            headers.insert(crate::RUN_HEADER, run);
        }
        Self {
            plan,
            target,
            headers,
            patience: Patience::new(plan.timeout),
            sender: None,
        }
    }

    /// Sends one request and waits for the end of its answer. Connects first where there is no live connection.
    pub(super) async fn send(&mut self) -> Exchange {
        let begin = Instant::now();
        let (mut sender, sent) = match self.sender.take() {
            Some(sender) => (sender, begin),
            None => match self.connect().await {
                Some(sender) => (sender, Instant::now()),
                None => {
                    let ended = Instant::now();
                    tokio::time::sleep(PAUSE_AFTER_REFUSAL).await;
                    return Exchange {
                        sent: begin,
                        ended,
                        outcome: Err(ErrorKind::Connect),
                    };
                }
            },
        };
        let mut request = Request::new(Full::new(self.plan.body.clone()));
        *request.method_mut() = self.plan.method.clone();
        *request.headers_mut() = self.headers.clone();
        *request.uri_mut() = self.plan.path.clone();
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status().as_u16();
            let mut body = response.into_body();
            let mut body_bytes = 0_u64;
            while let Some(frame) = body.frame().await {
                body_bytes += frame?.data_ref().map_or(0, |data| data.len() as u64);
            }
            Ok::<_, hyper::Error>(Answer { status, body_bytes })
        };
        let answer = self.patience.wait(sent, exchange).await;
        let ended = Instant::now();
        let outcome = match answer {
            Some(Ok(answer)) => {
                // The server may close after an answer (`Connection: close`): then the next request connects anew.
                if sender.ready().await.is_ok() {
                    self.sender = Some(sender);
                }
                Ok(answer)
            }
            Some(Err(error)) if error.is_parse() => Err(ErrorKind::Protocol),
            Some(Err(_)) => Err(ErrorKind::Reset),
            None => Err(ErrorKind::Timeout),
        };
        Exchange {
            sent,
            ended,
            outcome,
        }
    }

    async fn connect(&self) -> Option<SendRequest<Full<Bytes>>> {
        let connecting = async {
            let stream = TcpStream::connect(self.target.address).await.ok()?;
            stream.set_nodelay(true).ok()?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
            // Ends when the sender is dropped; an error there shows up on the sender.
            tokio::task::spawn_local(connection);
            Some(sender)
        };
        tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .ok()
            .flatten()
    }
}

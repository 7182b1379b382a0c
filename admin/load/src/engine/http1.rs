//! One HTTP/1.1 connection that sends one request after the other.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest, handshake};
use hyper_util::rt::TokioIo;

use super::connection::{CONNECT_TIMEOUT, Exchange, PAUSE_AFTER_REFUSAL};
use super::driver::Driver;
use super::patience::Patience;
use super::presence::Presence;
use super::socket::Socket;
use super::thread::Thread;
use crate::plan::Checked;
use crate::record::{Answer, ErrorKind};
use crate::targets::Target;

/// What is sent, and where.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) plan: Checked,
    pub(super) target: Target,
}

pub(super) struct Connection {
    thread: Rc<Thread>,
    work: Arc<Work>,
    headers: HeaderMap,
    patience: Patience,
    live: Option<Live>,
}

/// A connection and what moves its bytes, which runs in the same task: were it a task of its own, each request would wake
/// one task from another twice.
struct Live {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver<Moving>,
    presence: Presence,
}

type Moving = http1::Connection<TokioIo<Socket>, Full<Bytes>>;

impl Connection {
    pub(super) fn new(thread: &Rc<Thread>, work: Arc<Work>) -> Self {
        let mut headers = work.plan.headers.clone();
        if let Ok(host) = HeaderValue::from_str(work.target.authority()) {
            headers.insert(header::HOST, host);
        }
        if !work.plan.keep_alive {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Ok(run) = HeaderValue::from_str(&thread.shared.id) {
            headers.insert(crate::RUN_HEADER, run);
        }
        Self {
            patience: Patience::new(work.plan.load.timeout),
            thread: Rc::clone(thread),
            work,
            headers,
            live: None,
        }
    }

    /// Sends one request and waits for the end of its answer. Connects first where there is no live connection.
    pub(super) async fn send(&mut self) -> Exchange {
        let begin = Instant::now();
        let has_waited = self.live.is_some();
        let exchange = self.send_from(begin).await;
        // What the target closed while nobody spoke is no error: the request never left.
        match exchange {
            None if has_waited => self.send_from(begin).await,
            other => other,
        }
        .unwrap_or_else(|| Exchange {
            sent: begin,
            ended: Instant::now(),
            outcome: Err(ErrorKind::Reset),
        })
    }

    /// `None` where the connection ended before the request was written.
    async fn send_from(&mut self, begin: Instant) -> Option<Exchange> {
        let keep_alive = self.work.plan.keep_alive;
        let (mut live, sent) = match self.live.take() {
            Some(live) => (live, begin),
            None => match self.connect().await {
                // Where each request connects, connecting is part of it.
                Ok(live) => (live, if keep_alive { Instant::now() } else { begin }),
                Err(kind) => {
                    self.thread.count(|details| details.refused += 1);
                    let ended = Instant::now();
                    tokio::time::sleep(PAUSE_AFTER_REFUSAL).await;
                    return Some(Exchange {
                        sent: begin,
                        ended,
                        outcome: Err(kind),
                    });
                }
            },
        };
        let plan = &self.work.plan;
        let mut request = Request::new(Full::new(plan.body.clone()));
        *request.method_mut() = plan.method.clone();
        *request.headers_mut() = self.headers.clone();
        *request.uri_mut() = plan.path.clone();
        let Live {
            sender,
            driver,
            presence,
        } = &mut live;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status().as_u16();
            let mut body = response.into_body();
            let mut body_bytes = 0_u64;
            while let Some(frame) = body.frame().await {
                body_bytes += frame?.data_ref().map_or(0, |data| data.len() as u64);
            }
            Ok::<_, hyper::Error>(Answer {
                status: Some(status),
                body_bytes,
            })
        };
        let answer = self.patience.wait(sent, driver.until(exchange)).await;
        let ended = Instant::now();
        let outcome = match answer {
            Some(Ok(answer)) => {
                if !keep_alive {
                    return Some(Exchange {
                        sent,
                        ended,
                        outcome: Ok(answer),
                    });
                }
                // The server may close after an answer, or leave a body unread that it has answered: then the next request
                // connects anew.
                let ready = driver.until(sender.ready());
                if let Some(Ok(())) = self.patience.wait(ended, ready).await {
                    self.live = Some(live);
                } else {
                    presence.lost();
                }
                Ok(answer)
            }
            bad => {
                presence.lost();
                Err(match bad {
                    Some(Err(error)) if error.is_canceled() => return None,
                    Some(Err(error)) if error.is_parse() => ErrorKind::Protocol,
                    Some(_) => ErrorKind::Reset,
                    None => ErrorKind::Timeout,
                })
            }
        };
        Some(Exchange {
            sent,
            ended,
            outcome,
        })
    }

    async fn connect(&self) -> Result<Live, ErrorKind> {
        let connecting = async {
            let socket = Socket::connect(&self.work.target).await?;
            let (sender, driver) = handshake(TokioIo::new(socket))
                .await
                .map_err(|_| ErrorKind::Connect)?;
            Ok(Live {
                sender,
                driver: Driver::new(driver),
                presence: Presence::new(&self.thread),
            })
        };
        tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .unwrap_or(Err(ErrorKind::Connect))
    }
}

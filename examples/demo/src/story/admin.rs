//! The admin router, as an operator with a token uses it: over HTTP, from outside.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::{Method, StatusCode, header};
use serde_json::Value;

use crate::Failure;
use crate::visitors::{Answer, Client};

pub(crate) struct Operator {
    address: SocketAddr,
    bearer: String,
}

impl Operator {
    pub(crate) fn new(address: SocketAddr, token: &str) -> Self {
        Self {
            address,
            bearer: format!("Bearer {token}"),
        }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, Failure> {
        let mut client = Client::connect(self.address).await?;
        let path = format!("/performance{path}");
        let headers = [(header::AUTHORIZATION, self.bearer.as_str())];
        client
            .send(method, &path, &headers, body.map(|body| body.to_string()))
            .await
    }

    /// A `GET` that has to succeed.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        let answer = self.send(Method::GET, path, None).await?;
        parsed(path, &answer)
    }

    /// A `POST` that has to succeed.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Result<Value, Failure> {
        let answer = self.send(Method::POST, path, Some(body)).await?;
        parsed(path, &answer)
    }

    /// The status of a request with a wrong token.
    pub(crate) async fn stranger(&self, path: &str) -> Result<StatusCode, Failure> {
        let stranger = Self {
            address: self.address,
            bearer: "Bearer not-the-right-token".to_owned(),
        };
        Ok(stranger.send(Method::GET, path, None).await?.status)
    }

    /// Asks until `is_it` finds what it waits for, at most `patience`.
    pub(crate) async fn until<T>(
        &self,
        path: &str,
        patience: Duration,
        is_it: impl Fn(&Value) -> Option<T>,
    ) -> Result<T, Failure> {
        let begin = Instant::now();
        loop {
            let answer = self.get(path).await?;
            if let Some(found) = is_it(&answer) {
                return Ok(found);
            }
            if begin.elapsed() > patience {
                return Err(format!(
                    "{path} did not come to an end within {} s: {answer}",
                    patience.as_secs()
                )
                .into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn parsed(path: &str, answer: &Answer) -> Result<Value, Failure> {
    let text = String::from_utf8_lossy(&answer.body);
    if !answer.status.is_success() {
        return Err(format!("{path} answered {}: {text}", answer.status).into());
    }
    serde_json::from_str(&text)
        .map_err(|error| format!("{path} answered no JSON ({error}): {text}").into())
}

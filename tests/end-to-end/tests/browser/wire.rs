//! WebDriver's commands (W3C, and chromedriver's own for logs and DevTools): JSON over HTTP on this machine. The crates for it
//! change how JSON objects are ordered in everything that is built beside them, which is not how users build it.

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// The name of an element's id in an answer.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A session with chromedriver.
pub(super) struct Session {
    client: Client<HttpConnector, Full<Bytes>>,
    /// `http://127.0.0.1:PORT/session/ID`
    base: String,
}

/// What chromedriver refuses with: its word for it, and a sentence.
pub(super) type Refused = String;

impl Session {
    /// Begins one with the capabilities that are wanted.
    pub(super) async fn begin(port: u16, wanted: Value) -> Self {
        let mut session = Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            base: format!("http://127.0.0.1:{port}/session"),
        };
        let body = json!({"capabilities": {"alwaysMatch": wanted}});
        let begun = session.post("", body).await.unwrap();
        let id = begun["sessionId"].as_str().unwrap();
        session.base = format!("{}/{id}", session.base);
        session
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Refused> {
        self.send(Method::GET, path, Bytes::new()).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Result<Value, Refused> {
        self.send(Method::POST, path, body.to_string().into()).await
    }

    /// Ends the session, and with it the browser.
    pub(super) async fn end(&self) {
        self.send(Method::DELETE, "", Bytes::new()).await.unwrap();
    }

    /// The id of the first element of an XPath.
    pub(super) async fn element(&self, path: &str) -> Result<String, Refused> {
        let body = json!({"using": "xpath", "value": path});
        let found = self.post("/element", body).await?;
        Ok(found[ELEMENT].as_str().unwrap().to_owned())
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Value, Refused> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .unwrap();
        let response = self.client.request(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let mut answer: Value = serde_json::from_slice(&bytes).unwrap();
        let value = answer["value"].take();
        if status.is_success() {
            return Ok(value);
        }
        Err(format!("{}: {}", value["error"], value["message"]))
    }
}

//! Who may ask, and under which names.

use std::sync::Arc;

use super::AdminBuilder;
use crate::security::identity::{Identity, Token};

impl AdminBuilder {
    /// A token, with its role and its holder's name. May be called again;
    /// [`Admin::set_tokens`](crate::Admin::set_tokens) changes them later.
    pub fn token(mut self, token: Token) -> Self {
        self.tokens.push(token);
        self
    }

    /// A token that may look and act: text of at least 16 bytes, or `sha256:` and the hash of one. May be called again.
    pub fn operator_token(self, token: impl Into<String>) -> Self {
        self.token(Token::operator(token))
    }

    /// A token that may only look, as [`operator_token`](Self::operator_token). May be called again.
    pub fn reader_token(self, token: impl Into<String>) -> Self {
        self.token(Token::reader(token))
    }

    /// The host's own authentication, asked where a request has neither a token of this router nor a session. `hook` sees the
    /// request's head, with what the host's own layers have put into its extensions, and must not block.
    ///
    /// A browser whose requests the host knows by a cookie is told from another site's page by `Origin` and
    /// `Sec-Fetch-Site`, which every browser sends.
    pub fn auth(
        mut self,
        hook: impl Fn(&http::request::Parts) -> Option<Identity> + Send + Sync + 'static,
    ) -> Self {
        self.hook = Some(Arc::new(hook));
        self
    }

    /// Lets the session's cookie go over plain HTTP to hosts that are not loopback. Default: it is marked `Secure` there, and a
    /// browser keeps it only from HTTPS.
    pub fn insecure_cookies(mut self, insecure: bool) -> Self {
        self.insecure_cookies = insecure;
        self
    }

    /// Answers requests for this host name too, whatever the port. Loopback names always are.
    pub fn allow_host(mut self, host: impl AsRef<str>) -> Self {
        self.hosts.allow(host.as_ref());
        self
    }
}

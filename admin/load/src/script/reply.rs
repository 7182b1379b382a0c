//! An answer as checks and captures see it.

/// So much of a body is kept; what lies behind it is neither found nor captured.
pub(crate) const MAX_KEPT_BYTES: usize = 1 << 20;

/// The headers and the body of an answer. Reused from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    wants_body: bool,
    is_cut: bool,
    /// Of PostgreSQL: the first row's columns that are not NULL, and how many rows there were.
    columns: Vec<(String, String)>,
    rows: u64,
}

impl Reply {
    /// Another answer is to come; its body is kept only where somebody looks at it.
    pub(super) fn clear(&mut self, wants_body: bool) {
        self.wants_body = wants_body;
        self.begin();
    }

    /// Another answer begins, perhaps to a request that was sent again.
    pub(crate) fn begin(&mut self) {
        self.headers.clear();
        self.body.clear();
        self.columns.clear();
        self.rows = 0;
        self.is_cut = false;
    }

    pub(crate) fn header(&mut self, name: &str, value: &[u8]) {
        self.headers
            .push((name.to_ascii_lowercase(), value.to_owned()));
    }

    pub(crate) fn data(&mut self, bytes: &[u8]) {
        if !self.wants_body {
            return;
        }
        let room = MAX_KEPT_BYTES - self.body.len();
        self.is_cut |= bytes.len() > room;
        self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn add_column(&mut self, name: &str, value: String) {
        self.columns.push((name.to_owned(), value));
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn set_rows(&mut self, rows: u64) {
        self.rows = rows;
    }

    /// Whether somebody looks inside.
    #[cfg(feature = "postgres")]
    pub(crate) fn wants_columns(&self) -> bool {
        self.wants_body
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn column(&self, name: &str) -> Option<&str> {
        let found = self.columns.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Values of a header, whose name is in small letters.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |(own, _)| own == name)
            .map(|(_, value)| value.as_slice())
    }

    pub(super) fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The body as JSON; `None` where it is none, or longer than what is kept.
    pub(super) fn json(&self) -> Option<serde_json::Value> {
        if self.is_cut {
            return None;
        }
        serde_json::from_slice(&self.body).ok()
    }
}

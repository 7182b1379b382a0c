//! The least of an HTTP/1.1 server, so that most of the time goes to the client.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\n\r\nHello, World!";

const REFUSAL: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n";

/// How a request is answered.
pub(crate) struct Served {
    /// When, in seconds from the first request.
    pub(crate) at_s: Option<f64>,
    pub(crate) is_refused: bool,
}

impl Served {
    pub(crate) fn at_once() -> Self {
        Self {
            at_s: None,
            is_refused: false,
        }
    }

    pub(crate) fn at(at_s: f64) -> Self {
        Self {
            at_s: Some(at_s),
            ..Self::at_once()
        }
    }
}

/// When the first request came, and what answers it and those after it.
struct Schedule<R> {
    begin: Option<Instant>,
    rule: R,
}

/// Prints its address, then serves on one thread until it is ended. `rule` is told when a request came, in seconds from the first.
pub(crate) fn serve_by(rule: impl FnMut(f64) -> Served + 'static) -> Vec<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        let schedule = Rc::new(RefCell::new(Schedule { begin: None, rule }));
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let schedule = Rc::clone(&schedule);
            tokio::task::spawn_local(async move {
                let _ = connection(stream, schedule).await;
            });
        }
    })
}

async fn connection<R: FnMut(f64) -> Served>(
    mut stream: TcpStream,
    schedule: Rc<RefCell<Schedule<R>>>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; 4_096];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        // One request at a time, and none has a body.
        if !buffer[..filled].ends_with(b"\r\n\r\n") {
            continue;
        }
        filled = 0;
        let (is_refused, due) = schedule.borrow_mut().served();
        if let Some(due) = due {
            tokio::time::sleep_until(due.into()).await;
        }
        let answer = if is_refused { REFUSAL } else { ANSWER };
        stream.write_all(answer).await?;
    }
}

impl<R: FnMut(f64) -> Served> Schedule<R> {
    /// Whether a request that comes now is refused, and when it is answered if not at once.
    fn served(&mut self) -> (bool, Option<Instant>) {
        let now = Instant::now();
        let begin = *self.begin.get_or_insert(now);
        let served = (self.rule)((now - begin).as_secs_f64());
        let due = served
            .at_s
            .map(|at_s| begin + Duration::from_secs_f64(at_s));
        (served.is_refused, due)
    }
}

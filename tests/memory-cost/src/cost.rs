//! What the memory layer and its allocator cost. Compiled into two programs that differ in their global allocator alone, so
//! that each figure with counting has its like without.

use std::convert::Infallible;
use std::future::Future;
use std::io::{Read, Write};
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pitcrew::{MemoryHandle, MemoryLayer};
use tower::{Layer, Service, service_fn};

#[path = "../../../middleware/tests/leak_corpus/mod.rs"]
mod leak_corpus;
#[path = "../../measured.rs"]
mod measured;

const USAGE: &str = "usage: requests none|noop|memory COUNT | pairs COUNT | heavy none|memory COUNT | rss COUNT | leaks";

/// Small allocations of a heavy request.
const ALLOCATIONS: usize = 1_000;

pub(crate) fn main() -> ExitCode {
    measured::main(USAGE, measure)
}

fn measure(words: &[&str]) -> Option<Vec<f64>> {
    let number = |word: &str| word.parse::<usize>().ok();
    match *words {
        ["requests", layer, count] => requests(layer, number(count)?),
        ["pairs", count] => {
            pairs(number(count)?);
            Some(Vec::new())
        }
        ["heavy", layer, count] => heavy(layer, number(count)?),
        ["rss", count] => Some(vec![rss(number(count)?)]),
        ["leaks"] => Some(leaks()),
        _ => None,
    }
}

type Answer = Result<Response<Full<Bytes>>, Infallible>;

fn request() -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = "/items/1".parse().expect("a path");
    request
        .headers_mut()
        .insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    request
}

/// Asks `count` times, each answer read to its end. A layer is warm after the first.
fn ask<S, B>(mut service: S, count: usize) -> usize
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error = Infallible>,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut bytes = 0;
    for _ in 0..count {
        assert!(service.poll_ready(&mut cx).is_ready());
        let mut answer = pin!(service.call(request()));
        let Poll::Ready(Ok(answer)) = answer.as_mut().poll(&mut cx) else {
            unreachable!("the handler does not wait");
        };
        let mut body = pin!(answer.into_body());
        while let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(&mut cx) {
            bytes += frame.into_data().map_or(0, |data| data.len());
        }
    }
    bytes
}

fn layer() -> (MemoryLayer, MemoryHandle) {
    MemoryLayer::builder().build()
}

/// Instructions are counted from outside: this only asks.
fn requests(name: &str, count: usize) -> Option<Vec<f64>> {
    let runtime = runtime();
    let _inside = runtime.enter();
    let handler = service_fn(|request: Request<()>| async move {
        std::hint::black_box(&request);
        Answer::Ok(Response::new(Full::new(Bytes::from_static(b"an answer"))))
    });
    let bytes = match name {
        "none" => ask(handler, count),
        "noop" => ask(Noop(handler), count),
        "memory" => ask(layer().0.layer(handler), count),
        _ => return None,
    };
    assert_eq!(bytes, count * 9);
    Some(Vec::new())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// An allocation and its release, nothing else.
fn pairs(count: usize) {
    for _ in 0..count {
        let block = Box::new(std::hint::black_box(1_u64));
        std::hint::black_box(&block);
    }
}

/// Requests a CPU second of a server on loopback whose one route makes 1,000 small allocations and answers with what they
/// hold. The server has a thread of its own, and that thread's CPU time counts, the kernel's part included.
fn heavy(name: &str, count: usize) -> Option<Vec<f64>> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("an address");
    let handler = service_fn(|request: Request<hyper::body::Incoming>| async move {
        let first = request.uri().path().len();
        let rows: Vec<String> = (first..first + ALLOCATIONS)
            .map(|n| n.to_string())
            .collect();
        Answer::Ok(Response::new(Full::new(Bytes::from(rows.join(",")))))
    });
    let with_layer = match name {
        "none" => false,
        "memory" => true,
        _ => return None,
    };
    let server = std::thread::spawn(move || {
        runtime().block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let (stream, _) = listener.accept().await.expect("a connection");
            let io = hyper_util::rt::TokioIo::new(stream);
            let http = hyper::server::conn::http1::Builder::new();
            let begin = cpu_ns();
            let served = if with_layer {
                let service =
                    hyper_util::service::TowerToHyperService::new(layer().0.layer(handler));
                http.serve_connection(io, service).await
            } else {
                let service = hyper_util::service::TowerToHyperService::new(handler);
                http.serve_connection(io, service).await
            };
            served.expect("a connection that ends well");
            cpu_ns() - begin
        })
    });
    let mut stream = std::net::TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    let mut answer = vec![0; 64 << 10];
    for _ in 0..count {
        stream
            .write_all(b"GET /rows HTTP/1.1\r\nhost: a\r\n\r\n")
            .expect("a request");
        read_answer(&mut stream, &mut answer);
    }
    drop(stream);
    let spent = server.join().expect("the server") as f64;
    Some(vec![count as f64 * 1e9 / spent])
}

/// Reads one answer with `content-length` to its end.
fn read_answer(stream: &mut std::net::TcpStream, buffer: &mut [u8]) {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).expect("an answer");
        assert!(read > 0, "the server closed the connection");
        filled += read;
        let text = &buffer[..filled];
        let Some(end) = text.windows(4).position(|at| at == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&text[..end]).expect("a head");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length
            .and_then(|length| length.parse().ok())
            .expect("a length");
        if filled >= end + 4 + length {
            return;
        }
    }
}

/// Microseconds of one reading of the resident set size.
fn rss(count: usize) -> f64 {
    let (_, handle) = layer();
    handle.rss_bytes().expect("a resident set size");
    let begin = std::time::Instant::now();
    for _ in 0..count {
        std::hint::black_box(handle.rss_bytes());
    }
    begin.elapsed().as_secs_f64() * 1e6 / count.max(1) as f64
}

/// Precision and recall on the held-out corpus, in percent, and the share of what is no leak that was called one at any time.
fn leaks() -> Vec<f64> {
    use leak_corpus::{HELD_OUT, SERIES_A_FAMILY, score};
    let score = score(HELD_OUT, SERIES_A_FAMILY, |_, _, _| {});
    let others = (score.series - score.leaks) as f64;
    vec![
        score.precision_percent(),
        score.recall_percent(),
        score.ever_false as f64 * 100.0 / others,
    ]
}

/// CPU time of this thread.
fn cpu_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the clock exists, the pointer is to a timespec of ours.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or(0)
}

/// The floor: a wrapper with a future and a body of its own that do nothing.
struct Noop<S>(S);

#[pin_project::pin_project]
struct NoopFuture<F>(#[pin] F);

#[pin_project::pin_project]
struct NoopBody<B>(#[pin] B);

impl<S, B> Service<Request<()>> for Noop<S>
where
    S: Service<Request<()>, Response = Response<B>>,
{
    type Response = Response<NoopBody<B>>;
    type Error = S::Error;
    type Future = NoopFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        NoopFuture(self.0.call(request))
    }
}

impl<F, B, E> Future for NoopFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<NoopBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.project().0.poll(cx);
        polled.map_ok(|response| response.map(NoopBody))
    }
}

impl<B: Body> Body for NoopBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().0.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

//! What 200 clients of `GET /events` cost the server.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pitcrew_stack::Result;
use pitcrew_stack::bench::{Figure, ROUNDS, interval};
use pitcrew_stack::signals::Signals;
use tokio::net::TcpStream;

use super::fault;
use super::service::Service;

const CLIENTS: u64 = 200;
/// One reading.
const WINDOW: Duration = Duration::from_secs(10);
/// The last of them has heard something by then.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn figures(service: &Service, signals: &Signals) -> Result<Vec<Figure>> {
    let nobody = readings(service, signals)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(fault)?;
    let heard = Arc::new(AtomicU64::new(0));
    for _ in 0..CLIENTS {
        let (address, request) = (service.server.address().to_owned(), service.listening());
        let stream = runtime
            .block_on(TcpStream::connect(address))
            .map_err(fault)?;
        runtime.spawn(listen(stream, request, Arc::clone(&heard)));
    }
    let begin = Instant::now();
    while heard.load(Ordering::Relaxed) < 2 * CLIENTS {
        if begin.elapsed() > PATIENCE {
            return Err(fault("not everybody hears the figures"));
        }
        signals.wait(Some(Duration::from_millis(100)));
        signals.check()?;
    }
    let (begin, before) = (Instant::now(), heard.load(Ordering::Relaxed));
    let all = readings(service, signals)?;
    // A stream that says nothing costs nothing.
    let wanted = CLIENTS as f64 * begin.elapsed().as_secs_f64();
    let events = (heard.load(Ordering::Relaxed) - before) as f64;
    if events < 0.9 * wanted {
        return Err(fault(format!("{events} events of {wanted:.0} were heard")));
    }
    drop(runtime);
    Ok(vec![
        Figure::own("sse_200_core_percent", "%", interval(&all)),
        Figure::own("sse_0_core_percent", "%", interval(&nobody)),
    ])
}

/// Processor time of the whole server, in percent of a core.
fn readings(service: &Service, signals: &Signals) -> Result<Vec<f64>> {
    let mut readings = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let (begin, before) = (Instant::now(), service.server.cpu_ns()?);
        signals.wait(Some(WINDOW));
        signals.check()?;
        let took = service.server.cpu_ns()? - before;
        readings.push(took / begin.elapsed().as_nanos() as f64 * 100.0);
    }
    Ok(readings)
}

/// Counts the figures that come, until the server or the suite ends.
async fn listen(stream: TcpStream, request: String, heard: Arc<AtomicU64>) {
    let mut unsent = request.as_bytes();
    while !unsent.is_empty() {
        if stream.writable().await.is_err() {
            return;
        }
        match stream.try_write(unsent) {
            Ok(sent) => unsent = &unsent[sent..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
    let (mut buffer, mut line) = ([0; 4096], Vec::new());
    while stream.readable().await.is_ok() {
        let read = match stream.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(_) => return,
        };
        for &byte in &buffer[..read] {
            if byte != b'\n' {
                line.push(byte);
                continue;
            }
            if line.starts_with(b"event: figures") {
                heard.fetch_add(1, Ordering::Relaxed);
            }
            line.clear();
        }
    }
}

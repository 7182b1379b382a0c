//! The least of an HTTP/1.1 server, so that most of the time goes to the client.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::queue::{Queue, Rules};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\n\r\nHello, World!";

/// When the first request came, and the queue behind it.
type Schedule = Rc<RefCell<Option<(Instant, Queue)>>>;

/// Prints its address, then serves on one thread until it is ended.
pub(crate) fn serve(rules: Option<Rules>) -> Vec<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        let schedule: Schedule = Rc::default();
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let schedule = Rc::clone(&schedule);
            tokio::task::spawn_local(async move {
                let _ = connection(stream, rules, schedule).await;
            });
        }
    })
}

async fn connection(
    mut stream: TcpStream,
    rules: Option<Rules>,
    schedule: Schedule,
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
        if let Some(rules) = rules {
            tokio::time::sleep_until(due(&schedule, rules).into()).await;
        }
        stream.write_all(ANSWER).await?;
    }
}

fn due(schedule: &Schedule, rules: Rules) -> Instant {
    let now = Instant::now();
    let mut schedule = schedule.borrow_mut();
    let (begin, queue) = schedule.get_or_insert_with(|| (now, Queue::new(rules)));
    let at = queue.answered((now - *begin).as_secs_f64());
    *begin + Duration::from_secs_f64(at)
}

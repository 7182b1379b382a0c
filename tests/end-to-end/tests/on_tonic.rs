//! The layers on a tonic server: calls go through unharmed, trailers included.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

use pitcrew::{CacheLayer, LatencyLayer, MemoryLayer};
use tokio::net::TcpListener;
use tonic::{
    Code,
    transport::{Channel, Server, server::TcpIncoming},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

#[tokio::test]
async fn calls_and_their_trailers_pass_the_layers() {
    let (cache, cached) = CacheLayer::builder().build();
    let (latency, timed) = LatencyLayer::builder().build();
    let (memory, _memory) = MemoryLayer::builder().build();
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter
        .set_service_status("demo", tonic_health::ServingStatus::Serving)
        .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder()
        .layer(latency)
        .layer(memory)
        .layer(cache)
        .add_service(service)
        .serve_with_incoming(TcpIncoming::from(listener));
    let server = tokio::spawn(server);

    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    let mut client = HealthClient::new(channel.connect().await.unwrap());
    let ask = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    for _ in 0..2 {
        let answer = client.check(ask("demo")).await.unwrap();
        assert_eq!(answer.into_inner().status, 1);
    }
    // The status of an error stands in the header of an answer without content, that of a success in its trailers.
    let unknown = client.check(ask("nobody")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    // A stream stays open while its messages come.
    let mut watched = client.watch(ask("demo")).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status, 1);
    reporter
        .set_service_status("demo", tonic_health::ServingStatus::NotServing)
        .await;
    assert_eq!(watched.message().await.unwrap().unwrap().status, 2);
    drop(watched);

    let stats = cached.stats();
    assert_eq!((stats.bypasses, stats.stores), (4, 0));
    assert_eq!(stats.bypass_reasons["method"], 4);
    assert!(
        timed
            .snapshot()
            .series
            .iter()
            .map(|one| one.count)
            .sum::<u64>()
            >= 3
    );
    server.abort();
}

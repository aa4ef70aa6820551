//! An operation may have its connection end without an answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use bytes::Bytes;
use common::{Running, call};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};

#[test]
fn http1_connections_end_without_a_byte() {
    let server = Running::start();
    let mut connection = server.connect();
    assert_eq!(connection.ask(&call("ListStreams", "{}")).status, 200);
    connection.send(call("MergeShards", "{}"));
    assert!(connection.is_closed());
    assert_eq!(server.ask(&call("ListStreams", "{}")).status, 200);
}

#[test]
fn http2_connections_end_with_all_their_requests() {
    let server = Running::start();
    server.fake.closed.store(true, std::sync::atomic::Ordering::SeqCst);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let io = TokioIo::new(stream);
        let (sender, connection) =
            hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), io).await.unwrap();
        let ask = |operation: &str, body: &'static str| {
            let request = common::request(operation, common::JSON, body);
            let mut sender = sender.clone();
            async move { sender.send_request(request).await.map(|_| ()) }
        };
        let (waiting, hung_up, ended) = tokio::join!(
            ask("PutRecord", "{\"PartitionKey\":\"k\",\"Data\":\"\"}"),
            ask("MergeShards", "{}"),
            connection,
        );
        assert!(waiting.is_err() && hung_up.is_err(), "{waiting:?} {hung_up:?} {ended:?}");
    });
}

//! The constant-answer server: one thread, hyper; it reads the whole body and answers the same to everything.
//!
//! It is a process of its own, as the servers are that are measured beside it.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use millstream_harness::{Ready, Server, ServerCommand};
use tokio::net::TcpListener;

use crate::error::BenchError;
use crate::requests::Codec;

const READY: &str = "listening on http://";
const START_LIMIT: Duration = Duration::from_secs(10);

/// Starts the server as another process of this program. Its files go under `dir`.
///
/// # Errors
/// When it does not start.
pub fn start(dir: &Path, answer: &[u8], codec: Codec) -> Result<Server, BenchError> {
    let file = dir.join("constant-answer");
    std::fs::write(&file, answer)?;
    let command = ServerCommand {
        program: std::env::current_exe()?,
        arguments: vec![
            "constant".to_owned(),
            "--answer".to_owned(),
            file.display().to_string(),
            "--content-type".to_owned(),
            codec.content_type().to_owned(),
        ],
        ready: Ready::Says(READY.to_owned()),
        output: dir.join("constant.log"),
    };
    Ok(Server::start(&command, START_LIMIT)?)
}

/// Serves until it is killed.
///
/// # Errors
/// When it cannot listen.
pub fn serve(answer: Vec<u8>, content_type: &str) -> Result<(), BenchError> {
    let answer = Bytes::from(answer);
    let content_type: &'static str = Box::leak(content_type.to_owned().into_boxed_str());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{READY}{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let answer = answer.clone();
            tokio::task::spawn_local(async move {
                let service = service_fn(move |request| respond(request, answer.clone(), content_type));
                // A client that goes away is the end of a measurement.
                let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}

async fn respond(
    request: Request<Incoming>,
    answer: Bytes,
    content_type: &'static str,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut body = request.into_body();
    // A broken body shows at the client.
    while let Some(Ok(_)) = body.frame().await {}
    let mut response = Response::new(Full::new(answer));
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    Ok(response)
}

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::tls::Tls;

/// Settings of the server. All sizes in bytes.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Addresses to listen on; port 0 picks a free one.
    pub listen: Vec<SocketAddr>,
    /// The certificate for connections by TLS, which is not spoken without one.
    pub tls: Option<Arc<Tls>>,
    /// Threads that serve connections, each with a runtime of its own.
    pub workers: usize,
    /// The region of requests whose credential names none.
    pub default_region: Arc<str>,
    /// The account of requests whose access key id is not an account number.
    pub default_account: Arc<str>,
    /// Names besides loopback and the listeners' own addresses that a request's `Host` may have.
    pub allow_hosts: Vec<String>,
    /// Origins of web pages that may use the server, e.g. `http://localhost:3000`.
    pub cors_origins: Vec<String>,
    /// Largest request body.
    pub max_body: usize,
    /// Largest head of a request: its line and its headers.
    pub max_head: usize,
    /// Memory for the bodies and answers of all requests in flight; a put's body counts three times, for what is to be
    /// written is made of it. Events of subscriptions may take a quarter as much beside it.
    pub memory: usize,
    /// How long a request waits for its part of `memory` before it is refused.
    pub memory_wait: Duration,
    /// What a request whose answer can be large (GetRecords) claims of `memory` for it in advance.
    pub large_answer: usize,
    /// Connections served at once. For one more, the one goes that has had no request for the longest time; if all have
    /// one, it waits.
    pub max_connections: usize,
    /// How long a peer may take to send the head of a request, and before that for the handshake of TLS.
    pub head_timeout: Duration,
    /// How long a connection without requests is kept.
    pub idle_timeout: Duration,
    /// How fast a peer must send a body and take an answer.
    pub pace: Pace,
    /// How long requests in flight may go on after shutdown has begun.
    pub drain: Duration,
}

/// A minimum rate: `bytes` in every `window`.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Time over which bytes are counted.
    pub window: Duration,
    /// Bytes that must move in it.
    pub bytes: u64,
}

impl ServerConfig {
    /// The defaults for a region and an account, without listeners.
    pub fn new(default_region: impl Into<Arc<str>>, default_account: impl Into<Arc<str>>) -> ServerConfig {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        ServerConfig {
            listen: Vec::new(),
            tls: None,
            workers: cores,
            default_region: default_region.into(),
            default_account: default_account.into(),
            allow_hosts: Vec::new(),
            cors_origins: Vec::new(),
            // A PutRecords of 10 MiB is 14 MiB in base64.
            max_body: 16 << 20,
            max_head: 64 << 10,
            memory: 96 << 20,
            memory_wait: Duration::from_secs(5),
            large_answer: 14 << 20,
            max_connections: 12 << 10,
            head_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(300),
            pace: Pace { window: Duration::from_secs(10), bytes: 80 << 10 },
            drain: Duration::from_secs(10),
        }
    }
}

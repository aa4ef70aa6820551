//! The way in: listeners, HTTP/1.1 and HTTP/2 on one port, with TLS or without, wire formats, the checks that come before
//! any operation, and dispatch to one [`Service`](millstream_api::kinesis::Service).
//!
//! A request's way: [`Server`] accepts and hands the socket to a worker; the entrance tells TLS from cleartext; a
//! connection task speaks HTTP and watches its peer's pace; the front checks guard, method, body, content type, target and authentication in AWS's order, reads the
//! body under the memory budget, decodes, calls the service and encodes. Every error becomes bytes in one place, `fault`.
//! A stream of events goes on in `subscription` when its answer has begun.

mod admin;
mod answer;
mod auth;
mod body;
mod budget;
mod codec;
mod config;
mod connection;
mod controls;
mod crowd;
mod fault;
mod front;
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod ids;
mod known;
pub mod metrics;
mod server;
mod subscription;
mod tls;
mod worker;

pub use admin::HealthSource;
pub use auth::is_region;
pub use config::{Pace, ServerConfig};
pub use controls::{ControlAnswer, ControlRequest, ControlSource};
pub use guard::is_origin;
pub use server::{BindError, Drained, RunError, Server};
pub use tls::{CertificateError, Tls};

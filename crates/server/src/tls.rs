//! TLS on the port of cleartext: the first byte of a connection says which of the two it is.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use millstream_env::runtime;
use parking_lot::RwLock;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::ServerConfig;
use crate::connection::{Local, Phase, Protocol};
use crate::crowd::CROWDED;
use crate::front::Front;

/// The first byte of a connection that speaks TLS: a record with a message of the handshake. No request of HTTP begins so.
const HANDSHAKE: u8 = 0x16;

/// What a request in cleartext is told where it is not welcome.
const TLS_ONLY: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 40\r\n\
    Connection: close\r\n\r\nThis port speaks TLS only: use https://\n";
/// How much of what a refused peer sends is read so that it sees its answer, and for how long.
const FAREWELL_BYTES: u64 = 64 << 10;
const FAREWELL: Duration = Duration::from_secs(1);

/// The certificate that the server shows, with its key, and whether anything but TLS is spoken.
pub struct Tls {
    config: Arc<rustls::ServerConfig>,
    shown: Arc<Shown>,
    only: bool,
}

/// Why a certificate or its key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The chain's file has none.
    #[error("holds no certificate: a PEM file is wanted, the server's own certificate first")]
    NoCertificate,
    /// The chain's file has one that is none.
    #[error("holds a certificate that cannot be read: {0}")]
    Certificate(String),
    /// The key's file has none.
    #[error("holds no private key: a PEM file is wanted, with the key not encrypted (PKCS#8, PKCS#1 or SEC1)")]
    NoKey,
    /// The key's file has one that is none, or of a kind that TLS doesn't use.
    #[error("holds a private key that cannot be used: {0}")]
    Key(String),
    /// The two don't belong together.
    #[error("is not the key of the certificate")]
    Mismatch,
}

impl CertificateError {
    /// Whether it is the key's file that is at fault, rather than the certificate's.
    pub fn is_of_key(&self) -> bool {
        matches!(self, CertificateError::NoKey | CertificateError::Key(_) | CertificateError::Mismatch)
    }
}

impl Tls {
    /// TLS 1.2 and 1.3 with the chain of certificates and the private key of two PEM files. With `only`, connections in
    /// cleartext are refused.
    ///
    /// # Errors
    /// [`CertificateError`] says what is wrong with which of the two.
    pub fn new(chain: &[u8], key: &[u8], only: bool) -> Result<Tls, CertificateError> {
        let provider = Arc::new(ring::default_provider());
        let shown = Arc::new(Shown(RwLock::new(Arc::new(certified(chain, key, &provider)?))));
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let builder = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| CertificateError::Certificate(error.to_string()))?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::clone(&shown) as Arc<_>);
        // A client that asks for neither by ALPN is told apart by its first bytes, as one in cleartext is.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Tls { config: Arc::new(config), shown, only })
    }

    /// Shows another certificate to connections that begin from now on. On an error it stays as it was.
    ///
    /// # Errors
    /// As [`Tls::new`].
    pub fn replace(&self, chain: &[u8], key: &[u8]) -> Result<(), CertificateError> {
        let new = certified(chain, key, self.config.crypto_provider())?;
        *self.shown.0.write() = Arc::new(new);
        Ok(())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("only", &self.only).finish_non_exhaustive()
    }
}

/// The certificate of new connections.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}

fn certified(chain: &[u8], key: &[u8], provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
    let certificates: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(chain).collect();
    let certificates = certificates.map_err(|error| CertificateError::Certificate(error.to_string()))?;
    if certificates.is_empty() {
        return Err(CertificateError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
        pem::Error::NoItemsFound => CertificateError::NoKey,
        error => CertificateError::Key(error.to_string()),
    })?;
    CertifiedKey::from_der(certificates, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => CertificateError::Mismatch,
        rustls::Error::InvalidCertificate(error) => CertificateError::Certificate(format!("{error:?}")),
        error => CertificateError::Key(error.to_string()),
    })
}

/// Where connections come in: in TLS or not, to one protocol.
pub(crate) struct Entrance {
    protocol: Protocol,
    tls: Option<Arc<Tls>>,
    handshake: Duration,
    idle: Duration,
}

/// A connection of which it is known what it speaks.
enum Begun {
    Clear(TcpStream),
    // Boxed, so that connections in cleartext are no larger for it.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Entrance {
    pub(crate) fn new(config: &ServerConfig) -> Entrance {
        Entrance {
            protocol: Protocol::new(config),
            tls: config.tls.clone(),
            handshake: config.head_timeout,
            idle: config.idle_timeout,
        }
    }

    /// Serves one connection that came in on the address `ip` to its end.
    pub(crate) async fn serve(&self, stream: TcpStream, ip: IpAddr, front: Arc<Front>, phase: watch::Receiver<Phase>) {
        let clear = Local { ip: ip.to_canonical(), is_tls: false };
        let seat = front.crowd.seat();
        let Some(tls) = &self.tls else { return self.protocol.serve(stream, clear, front, phase, seat).await };
        let mut stopping = phase.clone();
        let begun = tokio::select! {
            biased;
            // No request can have come yet: there is nothing to finish.
            _ = stopping.wait_for(|phase| *phase != Phase::Serving) => return,
            // Nor here.
            () = seat.asked() => {
                front.meters.cut(CROWDED);
                return;
            }
            begun = self.begin(tls, stream, &front) => begun,
        };
        match begun {
            Some(Begun::Clear(stream)) => self.protocol.serve(stream, clear, front, phase, seat).await,
            Some(Begun::Tls(stream)) => {
                self.protocol.serve(stream, Local { is_tls: true, ..clear }, front, phase, seat).await;
            }
            None => {}
        }
    }

    /// Waits for the first byte and does what it asks for. `None` if the connection is over.
    async fn begin(&self, tls: &Tls, stream: TcpStream, front: &Front) -> Option<Begun> {
        let cut = |reason: &'static str, why: &dyn fmt::Display| {
            front.meters.cut(reason);
            tracing::debug!(reason, %why, "connection cut");
        };
        let mut first = [0];
        // A connection that says nothing is idle, and kept as long as others that are.
        let seen = runtime::timeout(self.idle, stream.peek(&mut first)).await?;
        if seen.ok()? == 0 {
            return None;
        }
        if first != [HANDSHAKE] {
            if !tls.only {
                return Some(Begun::Clear(stream));
            }
            cut("cleartext", &"this port speaks TLS only");
            runtime::timeout(FAREWELL, refuse(stream)).await;
            return None;
        }
        let accepted = TlsAcceptor::from(Arc::clone(&tls.config)).accept(stream);
        match runtime::timeout(self.handshake, accepted).await {
            Some(Ok(stream)) => return Some(Begun::Tls(Box::new(stream))),
            Some(Err(error)) => cut("tls_handshake", &error),
            None => cut("slow_handshake", &"the handshake took too long"),
        }
        None
    }
}

/// Says why, and reads what the peer had to say: closed with bytes unread, the connection would be reset, and the answer
/// be lost on the way.
async fn refuse(mut stream: TcpStream) {
    if stream.write_all(TLS_ONLY).await.is_ok() && stream.shutdown().await.is_ok() {
        let mut rest = stream.take(FAREWELL_BYTES);
        let mut buffer = [0; 4096];
        while matches!(rest.read(&mut buffer).await, Ok(1..)) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_in_cleartext_is_as_long_as_it_says() {
        let text = std::str::from_utf8(TLS_ONLY).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
    }
}

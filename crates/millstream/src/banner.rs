//! What is printed when the server starts.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::config::{Config, Durability, Storage};

/// The lines before it is ready: version, endpoints, what is promised, and what to type next.
pub fn greeting(config: &Config, addresses: &[SocketAddr], data: &Path) -> String {
    let mut text = format!("Millstream {}\n", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, value: &str| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {name:<15} {value}");
    };
    for address in addresses {
        for scheme in schemes(config) {
            line("endpoint", &format!("{scheme}://{address}"));
        }
    }
    line("data directory", &data.display().to_string());
    match &config.storage {
        Storage::Directory { durability: Durability::Fsync, .. } => {
            line("durability", "fsync: a record is on disk before it is acknowledged");
        }
        Storage::Directory { durability: durability @ Durability::Relaxed(every), .. } => line(
            "durability",
            &format!(
                "{durability}: records are ACKNOWLEDGED BEFORE THEY ARE ON DISK; a crash of the machine can lose the last {} ms",
                every.as_millis()
            ),
        ),
        Storage::Ephemeral { max } => line(
            "durability",
            &format!("ephemeral: NOTHING IS KEPT; no sync, and all is removed on exit; at most {} MiB", max >> 20),
        ),
    }
    let reach = if config.allow_anonymous { ", also from other machines" } else { "" };
    line("authentication", &format!("anonymous: any credentials will do{reach}"));
    if config.test_controls {
        line(
            "test controls",
            "ON: ANYONE WHO CAN CALL THIS SERVER CAN MAKE IT FAIL, MOVE ITS CLOCK AND DELETE ALL ITS STREAMS",
        );
    }
    // Cleartext, where it is spoken, needs no certificate that the client must trust.
    let scheme = schemes(config).last().copied().unwrap_or_default();
    let endpoint = addresses.first().map(|address| reachable(scheme, *address)).unwrap_or_default();
    let region = &config.region;
    let _ = write!(
        text,
        "\nCreate a stream with\n\n  aws kinesis create-stream --stream-name my-stream --shard-count 1 --endpoint-url \
         {endpoint}\n\nThe AWS CLI wants credentials; if there are none, first\n\n  export AWS_ACCESS_KEY_ID=test \
         AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION={region}\n\n"
    );
    if config.tls.is_some() {
        text.push_str(
            "By https a client must trust the certificate: AWS_CA_BUNDLE names the file of its authority.\n\n",
        );
    }
    text
}

/// The lines that say it is ready, one for each listener and what it speaks.
pub fn ready(config: &Config, addresses: &[SocketAddr]) -> String {
    let line = |scheme: &str, address: &SocketAddr| format!("listening on {scheme}://{address}\n");
    addresses.iter().flat_map(|address| schemes(config).iter().map(move |scheme| line(scheme, address))).collect()
}

/// What every listener speaks.
fn schemes(config: &Config) -> &'static [&'static str] {
    match &config.tls {
        None => &["http"],
        Some(tls) if tls.only => &["https"],
        Some(_) => &["https", "http"],
    }
}

/// The URL at which this machine reaches a listener: one on every address is also on loopback.
fn reachable(scheme: &str, address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("{scheme}://{}", SocketAddr::new(ip, address.port()))
}

//! `millstream certs`: a certificate authority for development, and a server's certificate signed by it.

use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use millstream_env::{Disk, Env};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

const AUTHORITY: &str = "Millstream development CA";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AUTHORITY_DAYS: u32 = 3650;
/// The most that some clients take of a server's certificate is a little more.
const SERVER_DAYS: u32 = 397;
/// What the server's certificate is always good for.
const HOSTS: [&str; 4] = ["localhost", "*.localhost", "127.0.0.1", "::1"];

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
enum CertsError {
    #[error("--host: \"{0}\" is neither a host name nor an address")]
    Host(String),
    #[error("{}: cannot be used: {error}", path.display())]
    Unusable { path: PathBuf, error: io::Error },
    #[error("{}: is missing, and {} is there: put it back, or remove both for a new authority", missing.display(), present.display())]
    Half { missing: PathBuf, present: PathBuf },
    #[error("{}: holds no private key that can be used: {error}", path.display())]
    Key { path: PathBuf, error: rcgen::Error },
    #[error("{}: does not vouch for what its key signs ({error}): remove ca.pem and ca.key for a new authority, or use another --dir", path.display())]
    Authority { path: PathBuf, error: String },
    #[error("the certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// Makes what is missing in `dir`, always a new certificate for the server, and says what to type next.
pub fn run(dir: &Path, hosts: &[String]) -> ExitCode {
    let env = Env::real(1);
    match make(&*env.disk, dir, hosts, Duration::from_millis(env.clock.now())) {
        Ok(said) => {
            crate::say(&said);
            ExitCode::SUCCESS
        }
        Err(error @ CertsError::Host(_)) => crate::fail(&error.to_string(), crate::USAGE),
        Err(error) => crate::fail(&error.to_string(), 1),
    }
}

/// The files of one directory.
struct Files<'a> {
    disk: &'a dyn Disk,
    dir: PathBuf,
}

impl Files<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn read(&self, name: &str) -> Result<String, CertsError> {
        let path = self.path(name);
        let text = self.disk.read_file(&path).and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other));
        text.map_err(|error| CertsError::Unusable { path, error })
    }

    /// Writes a private key, for its owner's eyes only.
    fn write_key(&self, name: &str, text: &str) -> Result<(), CertsError> {
        let path = self.path(name);
        self.disk.write_file(&path, text.as_bytes()).map_err(|error| CertsError::Unusable { path, error })
    }

    /// Writes a certificate, which everybody may read.
    fn write_certificate(&self, name: &str, text: &str) -> Result<(), CertsError> {
        self.write_key(name, text)?;
        let path = self.path(name);
        let opened = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644));
        opened.map_err(|error| CertsError::Unusable { path, error })
    }
}

fn make(disk: &dyn Disk, dir: &Path, hosts: &[String], now: Duration) -> Result<String, CertsError> {
    if let Some(host) = hosts.iter().find(|host| !is_host(host)) {
        return Err(CertsError::Host(host.clone()));
    }
    let files = Files { disk, dir: std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf()) };
    disk.create_dir_all(&files.dir).map_err(|error| CertsError::Unusable { path: files.dir.clone(), error })?;
    let (ca, ca_key, is_new) = authority(&files, now)?;
    let mut names: Vec<String> = HOSTS.map(str::to_owned).to_vec();
    names.extend(hosts.iter().filter(|host| !HOSTS.contains(&host.as_str())).cloned());
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let issuer = Issuer::new(authority_params(now), ca_key);
    let certificate = server_params(&names, now)?.signed_by(&key, &issuer)?;
    vouches(&ca, certificate.der(), now)
        .map_err(|error| CertsError::Authority { path: files.path("ca.pem"), error })?;
    files.write_key("server.key", &key.serialize_pem())?;
    files.write_certificate("server.pem", &format!("{}{ca}", certificate.pem()))?;
    Ok(said(&files, is_new, &names))
}

/// The authority's certificate and key: those that are there, or new ones.
fn authority(files: &Files<'_>, now: Duration) -> Result<(String, KeyPair, bool), CertsError> {
    let (pem, key) = (files.path("ca.pem"), files.path("ca.key"));
    match (files.disk.exists(&pem), files.disk.exists(&key)) {
        (true, true) => {
            let pair =
                KeyPair::from_pem(&files.read("ca.key")?).map_err(|error| CertsError::Key { path: key, error })?;
            Ok((files.read("ca.pem")?, pair, false))
        }
        (true, false) => Err(CertsError::Half { missing: key, present: pem }),
        (false, true) => Err(CertsError::Half { missing: pem, present: key }),
        (false, false) => {
            let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            let text = authority_params(now).self_signed(&pair)?.pem();
            files.write_key("ca.key", &pair.serialize_pem())?;
            files.write_certificate("ca.pem", &text)?;
            Ok((text, pair, true))
        }
    }
}

/// The authority's certificate but for its key. Its name never changes, so that it need not be read from the file.
fn authority_params(now: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, AUTHORITY);
    // It signs servers, and no further authorities.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now, AUTHORITY_DAYS);
    params
}

fn server_params(names: &[String], now: Duration) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Millstream");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    set_validity(&mut params, now, SERVER_DAYS);
    Ok(params)
}

/// Valid from yesterday on, for clients whose clock is behind; `days` in all.
fn set_validity(params: &mut CertificateParams, now: Duration, days: u32) {
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + now.saturating_sub(DAY);
    params.not_after = params.not_before + DAY * days;
}

/// Whether clients that trust `ca` take the certificate, or why not.
fn vouches(ca: &str, certificate: &CertificateDer<'_>, now: Duration) -> Result<(), String> {
    let mut roots = rustls::RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(ca.as_bytes()).map_err(|error| error.to_string())?;
    roots.add(root).map_err(|error| error.to_string())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let localhost = ServerName::try_from("localhost").map_err(|error| error.to_string())?;
    let time = UnixTime::since_unix_epoch(now);
    let verified = verifier.map_err(|error| error.to_string())?;
    verified.verify_server_cert(certificate, &[], &localhost, &[], time).map_err(|error| error.to_string())?;
    Ok(())
}

/// A host name, also with `*` for its first label, or an address.
fn is_host(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    text.parse::<IpAddr>().is_ok() || name.split('.').all(label)
}

/// The text as one word of a shell's command.
fn for_shell(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:@%".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn said(files: &Files<'_>, is_new: bool, names: &[String]) -> String {
    let path = |name: &str| for_shell(&files.path(name).display().to_string());
    let (ca, ca_key, server, key) = (path("ca.pem"), path("ca.key"), path("server.pem"), path("server.key"));
    let authority = if is_new {
        format!(
            "Made a certificate authority, \"{AUTHORITY}\":\n  {ca}    for clients, which trust it\n  {ca_key}    keep \
             it to yourself: whoever has it can pose as any server to them\n"
        )
    } else {
        format!("Used the certificate authority that is there:\n  {ca}\n")
    };
    format!(
        "{authority}Made a certificate for {}, valid for {SERVER_DAYS} days:\n  {server}\n  {key}\n\nServe with it:\n\n  \
         millstream serve --tls-cert {server} --tls-key {key}\n\nand have clients trust it:\n\n  export \
         AWS_CA_BUNDLE={ca} AWS_ENDPOINT_URL=https://localhost:4567\n\n",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests;

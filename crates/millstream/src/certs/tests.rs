#![allow(clippy::disallowed_methods)]

use millstream_env::real::RealDisk;

use super::*;

const NOW: Duration = Duration::from_secs(1_800_000_000);

fn made(dir: &Path, hosts: &[&str], now: Duration) -> Result<String, String> {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    make(&RealDisk, dir, &hosts, now).map_err(|error| error.to_string())
}

/// Whether a client that trusts `ca.pem` takes `server.pem` for `name`.
fn is_trusted(dir: &Path, name: &str, now: Duration) -> bool {
    let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&read("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let server = CertificateDer::from_pem_slice(&read("server.pem")).unwrap();
    let name = ServerName::try_from(name).unwrap();
    verifier.verify_server_cert(&server, &[], &name, &[], UnixTime::since_unix_epoch(now)).is_ok()
}

#[test]
fn the_certificate_is_good_for_localhost_and_what_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path(), &["millstream", "10.1.2.3", "*.streams.test"], NOW).unwrap();
    for name in ["localhost", "127.0.0.1", "::1", "millstream", "10.1.2.3", "a.streams.test"] {
        assert!(is_trusted(dir.path(), name, NOW), "{name}");
    }
    for name in ["example.com", "10.1.2.4", "streams.test"] {
        assert!(!is_trusted(dir.path(), name, NOW), "{name}");
    }
    assert!(is_trusted(dir.path(), "localhost", NOW + DAY * 395));
    assert!(!is_trusted(dir.path(), "localhost", NOW + DAY * 398));
    // A client whose clock is an hour behind.
    assert!(is_trusted(dir.path(), "localhost", NOW - Duration::from_secs(3600)));
}

#[test]
fn what_to_type_is_one_word_a_path() {
    assert_eq!(for_shell("/a/b-c.pem"), "/a/b-c.pem");
    assert_eq!(for_shell("/my files/it's"), "'/my files/it'\\''s'");
}

#[test]
fn keys_are_private() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path(), &[], NOW).unwrap();
    for (name, mode) in [("ca.key", 0o600), ("server.key", 0o600), ("ca.pem", 0o644), ("server.pem", 0o644)] {
        assert_eq!(std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777, mode, "{name}");
    }
}

#[test]
fn an_authority_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    assert!(made(dir.path(), &[], NOW).unwrap().starts_with("Made a certificate authority"));
    let before = ["ca.pem", "ca.key", "server.pem", "server.key"].map(read);
    // Nearly ten years on: the authority is the same, the server's certificate a new one.
    let later = NOW + DAY * 3600;
    assert!(made(dir.path(), &["other"], later).unwrap().starts_with("Used the certificate authority"));
    let after = ["ca.pem", "ca.key", "server.pem", "server.key"].map(read);
    assert!(before[..2] == after[..2] && before[2] != after[2] && before[3] != after[3]);
    assert!(is_trusted(dir.path(), "other", later));
}

#[test]
fn what_does_not_fit_together_is_refused_and_left_alone() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    made(dir.path(), &[], NOW).unwrap();
    made(other.path(), &[], NOW).unwrap();
    let server = std::fs::read(dir.path().join("server.pem")).unwrap();
    std::fs::copy(other.path().join("ca.key"), dir.path().join("ca.key")).unwrap();
    let said = made(dir.path(), &[], NOW).unwrap_err();
    assert!(said.contains("does not vouch for what its key signs"), "{said}");
    std::fs::write(dir.path().join("ca.key"), "x").unwrap();
    assert!(made(dir.path(), &[], NOW).unwrap_err().contains("ca.key: holds no private key"));
    std::fs::remove_file(dir.path().join("ca.key")).unwrap();
    let said = made(dir.path(), &[], NOW).unwrap_err();
    assert!(said.contains("ca.key: is missing") && !said.contains('\n'), "{said}");
    assert_eq!(std::fs::read(dir.path().join("server.pem")).unwrap(), server);
    for host in ["", "a b", "http://a", "a:1", "*.", "a..b"] {
        assert!(made(dir.path(), &[host], NOW).unwrap_err().starts_with("--host: "), "{host}");
    }
}

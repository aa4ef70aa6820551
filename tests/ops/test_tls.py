"""TLS: certificates made by `millstream certs`, verified by real clients, on the port that speaks cleartext too."""

from __future__ import annotations

import re
import shutil
import signal
import ssl
import stat
import subprocess
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import SSLError

from support import waiting
from support.server import Server, run
from support.worlds import World


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    """A directory of its own with an authority and a certificate."""
    made = tmp_path / "certs"
    done = run("certs", "--dir", made)
    assert done.returncode == 0, done.stderr
    return made


def serving(data: Path, certs: Path, *flags: str) -> Server:
    pair = ("--tls-cert", str(certs / "server.pem"), "--tls-key", str(certs / "server.key"))
    return Server(data, *pair, *flags, tls=False)


def one_line(*arguments: str | Path) -> str:
    """The one line with which a run is refused."""
    done = run(*arguments)
    assert done.returncode != 0, done.stdout
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def client(endpoint: str) -> object:
    return boto3.session.Session().client(
        "kinesis",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="111122223333",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )


def test_boto3_verifies_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(tmp_path / "data", "--transition-delay", "0", tls=True) as server:
        assert server.endpoint.startswith("https://127.0.0.1:")
        monkeypatch.setenv("AWS_CA_BUNDLE", str(server.ca))
        world = World(server)
        name = world.create()
        world.put(name, b"sealed")
        assert [record["Data"] for record in world.read(name)] == [b"sealed"]
        assert client(f"https://localhost:{server.port}").list_streams()["StreamNames"] == []
        # The same port in cleartext.
        assert world.http.call("ListStreams").json()["StreamNames"] == [name]
        assert client(f"http://localhost:{server.port}").list_streams()["StreamNames"] == []
        # A client that was not told to trust the authority does not.
        monkeypatch.delenv("AWS_CA_BUNDLE")
        with pytest.raises(SSLError):
            client(server.endpoint).list_streams()
        metrics = world.http.send("GET", "/_millstream/metrics").body.decode()
        assert re.search(r'^millstream_connections_cut_total\{reason="tls_handshake"\} [1-9]', metrics, re.M), metrics


def test_the_command_says_what_comes_next(certs: Path) -> None:
    said = run("certs", "--dir", certs).stdout
    assert f"millstream serve --tls-cert {certs}/server.pem --tls-key {certs}/server.key\n" in said
    assert f"export AWS_CA_BUNDLE={certs}/ca.pem AWS_ENDPOINT_URL=https://localhost:4567\n" in said


def test_keys_are_private_and_the_authority_stays(certs: Path) -> None:
    for name in ("ca.key", "server.key"):
        assert stat.S_IMODE((certs / name).stat().st_mode) == 0o600, name
    before = {path.name: path.read_bytes() for path in certs.iterdir()}
    assert sorted(before) == ["ca.key", "ca.pem", "server.key", "server.pem"]
    assert run("certs", "--dir", certs, "--host", "streams.test").returncode == 0
    after = {path.name: path.read_bytes() for path in certs.iterdir()}
    same = {name for name in before if before[name] == after[name]}
    assert same == {"ca.key", "ca.pem"}


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
def test_curl(tmp_path: Path, certs: Path) -> None:
    assert run("certs", "--dir", certs, "--host", "streams.test").returncode == 0
    with serving(tmp_path / "data", certs, "--allow-host", "streams.test") as server:
        for more in (["--http1.1"], ["--http2"], ["--tlsv1.3"], ["--tls-max", "1.2"], ["--no-alpn"]):
            for host in ("localhost", "127.0.0.1", "streams.test"):
                done = subprocess.run(
                    ["curl", "--silent", "--show-error", "--cacert", certs / "ca.pem", *more, "--max-time", "20",
                     "--resolve", f"{host}:{server.port}:127.0.0.1", f"https://{host}:{server.port}/_millstream/ready"],
                    capture_output=True, text=True, check=False,
                )
                assert (done.returncode, done.stdout) == (0, '{"status":"ok","problems":[]}\n'), (more, host, done.stderr)


def test_nothing_but_tls(tmp_path: Path, certs: Path) -> None:
    with serving(tmp_path / "data", certs, "--tls-only") as server:
        assert server.endpoint.startswith("https://")
        assert "http://" not in server.output
        refused = World(server).http.call("ListStreams")
        assert refused.status == 400
        assert b"https://" in refused.body


def test_what_is_printed_at_the_start(tmp_path: Path, certs: Path) -> None:
    with serving(tmp_path / "data", certs) as server:
        waiting.until(lambda: f"listening on http://127.0.0.1:{server.port}\n" in server.output, "both lines are there")
        assert f"listening on https://127.0.0.1:{server.port}\n" in server.output
        assert "AWS_CA_BUNDLE" in server.output


def test_a_new_certificate_is_taken_without_a_restart(tmp_path: Path, certs: Path) -> None:
    with serving(tmp_path / "data", certs) as server:

        def shown() -> str:
            return ssl.get_server_certificate(("127.0.0.1", server.port), timeout=20)

        first = shown()
        assert run("certs", "--dir", certs).returncode == 0
        server.signal(signal.SIGHUP)
        waiting.until(lambda: shown() != first, "the new certificate is shown")
        second = shown()
        # What cannot be used is reported, and changes nothing.
        (certs / "server.key").write_text("nothing")
        server.signal(signal.SIGHUP)
        waiting.until(lambda: "server.key: holds no private key" in server.output, "it says what is wrong")
        assert shown() == second
        # Nor does it pass for what is shown when it is asked for once more.
        server.signal(signal.SIGHUP)
        waiting.until(lambda: server.output.count("server.key: holds no private key") == 2, "it says so again")
        assert "the certificate has not changed" not in server.output
        assert server.stop() == 0


@pytest.mark.skipif(not shutil.which("openssl"), reason="there is no openssl")
@pytest.mark.parametrize(
    "make",
    [
        ["genrsa", "-traditional", "-out", "key.pem", "2048"],
        ["genrsa", "-out", "key.pem", "2048"],
        ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key.pem"],
    ],
    ids=["PKCS#1", "PKCS#8", "SEC1"],
)
def test_keys_of_other_makers(tmp_path: Path, make: list[str]) -> None:
    request = ["req", "-x509", "-key", "key.pem", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    for arguments in (make, [*request, "-days", "2", "-out", "cert.pem"]):
        subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True)
    flags = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))
    with Server(tmp_path / "data", *flags, tls=False) as server:
        shown = ssl.get_server_certificate(("127.0.0.1", server.port), timeout=20)
        assert shown.strip() == (tmp_path / "cert.pem").read_text().strip()


def test_wrong_files(tmp_path: Path, certs: Path) -> None:
    data = ("serve", "--listen", "127.0.0.1:0", "--data-dir", tmp_path / "data")
    cert, key, absent = certs / "server.pem", certs / "server.key", certs / "absent.pem"
    for cert_file, key_file, part in [
        (absent, key, f"{absent}: cannot be read"),
        (cert, absent, f"{absent}: cannot be read"),
        (key, key, f"{key}: holds no certificate"),
        (cert, cert, f"{cert}: holds no private key"),
        (cert, certs / "ca.key", f"{certs / 'ca.key'}: is not the key of the certificate"),
    ]:
        assert part in one_line(*data, "--tls-cert", cert_file, "--tls-key", key_file)
    assert "--tls-key" in one_line(*data, "--tls-cert", cert)
    assert "--tls-cert" in one_line(*data, "--tls-key", key)
    assert "--tls-cert" in one_line(*data, "--tls-only")
    # Nothing was begun.
    assert not (tmp_path / "data").exists()


def test_wrong_directories(tmp_path: Path, certs: Path) -> None:
    (certs / "ca.key").unlink()
    assert f"{certs / 'ca.key'}: is missing" in one_line("certs", "--dir", certs)
    (tmp_path / "file").write_text("x")
    assert str(tmp_path / "file") in one_line("certs", "--dir", tmp_path / "file")
    assert "--host" in one_line("certs", "--dir", tmp_path / "other", "--host", "a b")


def test_the_effective_configuration(tmp_path: Path, certs: Path) -> None:
    shown = run("serve", "--print-config", "--tls-cert", certs / "server.pem", "--tls-key", certs / "server.key").stdout
    assert f'tls_cert = "{certs}/server.pem"\ntls_key = "{certs}/server.key"\ntls_only = false\n' in shown

"""The command line and the configuration: one clear line and a non-zero exit for whatever is wrong."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from support.server import Server, run
from support.worlds import World


def refused(*arguments: str | Path, env: dict[str, str] | None = None) -> str:
    """Runs `millstream` with something wrong, and gives the one line it says."""
    done = run(*arguments, env=env)
    assert done.returncode != 0, done.stdout
    assert "panicked" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert lines, done.stdout
    return done.stderr


def serve(data: Path, *flags: str | Path, env: dict[str, str] | None = None) -> str:
    return refused("serve", "--listen", "127.0.0.1:0", "--data-dir", data, *flags, env=env)


def test_version() -> None:
    for arguments in (["version"], ["--version"]):
        done = run(*arguments)
        assert done.returncode == 0
        assert re.match(r"millstream \d+\.\d+\.\d+", done.stdout)


def test_help() -> None:
    done = run("--help")
    assert done.returncode == 0
    for command in ("serve", "check", "restore", "certs", "version", "completions"):
        assert command in done.stdout
    flags = run("serve", "--help").stdout
    for flag in (
        "--listen", "--data-dir", "--config", "--durability", "--ephemeral", "--ephemeral-max", "--limits",
        "--transition-delay", "--auth", "--allow-anonymous", "--allow-host", "--cors-origin", "--region", "--account",
        "--drain", "--min-free", "--snapshots", "--log-level", "--log-format", "--tls-cert", "--tls-key", "--tls-only",
        "--print-config",
    ):
        assert flag in flags, flag


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions(shell: str) -> None:
    done = run("completions", shell)
    assert done.returncode == 0
    assert "data-dir" in done.stdout


@pytest.mark.parametrize(
    "flags",
    [
        ["--durability", "sometimes"], ["--durability", "relaxed=soon"], ["--limits", "some"], ["--transition-delay", "long"],
        ["--drain", "-1s"], ["--min-free", "much"], ["--account", "12"], ["--log-level", "loud"], ["--log-format", "xml"],
        ["--listen", "nowhere"], ["--no-such-flag"], ["--auth", "password"],
    ],
    ids=" ".join,
)
def test_bad_values(tmp_path: Path, flags: list[str]) -> None:
    said = serve(tmp_path / "data", *flags)
    assert flags[0].lstrip("-") in said or flags[-1] in said


def test_iam_comes_later(tmp_path: Path) -> None:
    assert "iam" in serve(tmp_path / "data", "--auth", "iam")


def test_other_machines_need_authentication_or_an_explicit_flag(tmp_path: Path) -> None:
    said = refused("serve", "--listen", "0.0.0.0:0", "--data-dir", tmp_path / "data")
    assert "--allow-anonymous" in said
    with Server(tmp_path / "data", "--listen", "0.0.0.0:0", "--allow-anonymous") as server:
        assert server.endpoint.startswith("http://0.0.0.0:")


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused("serve", "--listen", f"127.0.0.1:{port}", "--data-dir", tmp_path / "data")
    assert str(port) in said


def test_a_data_directory_that_cannot_be(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    assert str(file) in serve(file)
    assert str(file) in serve(file / "below")


def test_two_listeners(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0") as server:
        ports = re.findall(r"^listening on http://127\.0\.0\.1:(\d+)", server.output, re.M)
        world = World(server)
        assert world.http.call("ListStreams").status == 200
        assert len(set(ports)) == len(ports) >= 1


def test_configuration_file_environment_and_flags(tmp_path: Path) -> None:
    """Flags win over the environment, which wins over the file."""
    config = tmp_path / "millstream.toml"
    config.write_text('region = "eu-west-1"\naccount = "111111111111"\nlimits = "none"\n')

    def effective(*flags: str, env: dict[str, str] | None = None) -> str:
        done = run("serve", "--config", config, "--print-config", *flags, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert re.search(r'region\W+eu-west-1', effective())
    assert re.search(r'region\W+eu-west-2', effective(env={"MILLSTREAM_REGION": "eu-west-2"}))
    shown = effective("--region", "eu-west-3", env={"MILLSTREAM_REGION": "eu-west-2"})
    assert re.search(r'region\W+eu-west-3', shown)
    assert re.search(r'account\W+111111111111', shown)


def test_what_print_config_prints_is_a_configuration(tmp_path: Path) -> None:
    printed = run("serve", "--print-config", "--region", "eu-west-3").stdout
    config = tmp_path / "again.toml"
    config.write_text(printed)
    again = run("serve", "--config", config, "--print-config")
    assert (again.returncode, again.stdout) == (0, printed), again.stderr


@pytest.mark.parametrize("text", ["no_such_key = 1\n", "region = 5\n", "limits = \"some\"\n", "region = \"unclosed\n"])
def test_bad_configuration_files(tmp_path: Path, text: str) -> None:
    config = tmp_path / "millstream.toml"
    config.write_text(text)
    said = serve(tmp_path / "data", "--config", config)
    assert str(config) in said or text.split()[0] in said
    assert str(tmp_path / "absent.toml") in serve(tmp_path / "data", "--config", tmp_path / "absent.toml")


def test_an_unknown_variable_is_refused(tmp_path: Path) -> None:
    assert "MILLSTREAM_DURABILTY" in serve(tmp_path / "data", env={"MILLSTREAM_DURABILTY": "fsync"})


def test_region_and_account_defaults(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--account", "123456789012", "--transition-delay", "0ms") as server:
        world = World(server, account="AKIAIOSFODNN7EXAMPLE", region="us-west-2")
        name = world.create()
        assert world.summary(name)["StreamARN"] == f"arn:aws:kinesis:us-west-2:123456789012:stream/{name}"


def test_what_is_printed_at_the_start(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        for part in (str(tmp_path / "data"), "fsync", "anonymous", "aws kinesis create-stream", server.endpoint):
            assert part in server.output, part
        assert re.search(r"\d+\.\d+\.\d+", server.output)
    with Server(tmp_path / "data", "--durability", "relaxed=100") as server:
        assert "relaxed" in server.output.lower()


def test_json_log(tmp_path: Path) -> None:
    import json

    with Server(tmp_path / "data", "--log-format", "json", "--log-level", "info") as server:
        answer = World(server).http.call("DescribeStream", {"StreamName": "nowhere"})
        server.stop()
        lines = [json.loads(line) for line in server.output.splitlines() if line.startswith("{")]
        wanted = answer.headers["x-amzn-requestid"]
        assert any(wanted in json.dumps(line) for line in lines), server.output


def test_a_refused_request_leaves_a_line_with_its_id(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        answers = [World(server).http.call("DescribeStream", {"StreamName": "nowhere"}), World(server).http.send("GET")]
        server.stop()
        for answer in answers:
            assert answer.headers["x-amzn-requestid"] in server.output

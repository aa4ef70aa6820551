"""A full disk, a full ephemeral server, and a directory from the future."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from support import waiting
from support.server import Server, run
from support.worlds import World


def test_a_full_disk_stops_puts_and_nothing_else(tmp_path: Path) -> None:
    flags = ["--transition-delay", "0ms", "--limits", "none"]
    with Server(tmp_path / "data", *flags) as roomy:
        world = World(roomy)
        name = world.create()
        world.put(name, b"before")
    with Server(tmp_path / "data", *flags, "--min-free", "4096TiB") as full:
        world = World(full, account=world.account)
        code, _ = world.refused("PutRecord", StreamName=name, Data=b"x", PartitionKey="k")
        assert code.startswith("Internal"), "an error that SDKs retry"
        assert [record["Data"] for record in world.read(name)] == [b"before"]
        world.call("AddTagsToStream", StreamName=name, Tags={"still": "works"})
        assert b"degraded" in world.http.send("GET", "/_millstream/health").body
    with Server(tmp_path / "data", *flags) as roomy:
        world = World(roomy, account=world.account)
        world.put(name, b"after")
        assert [record["Data"] for record in world.read(name)] == [b"before", b"after"]
    with Server(tmp_path / "data", *flags, "--min-free", "4096TiB") as full:
        world = World(full, account=world.account)
        world.call("DeleteStream", StreamName=name)
        world.gone(name)


@pytest.mark.parametrize("cap", ["40MiB", "200MiB"])
def test_an_ephemeral_server_is_capped(tmp_path: Path, cap: str) -> None:
    flags = ["--ephemeral", "--ephemeral-max", cap, "--transition-delay", "0ms", "--limits", "none"]
    with Server(None, *flags, env={"TMPDIR": str(tmp_path)}) as server:
        world = World(server)
        name = world.create()
        put = 0
        try:
            while put < 400:
                world.put(name, bytes([put % 256]) * 1_000_000)
                put += 1
        except ClientError as error:
            assert error.response["Error"]["Code"].startswith("Internal")
        assert 1 <= put < 400, "the cap was never met"
        assert len(world.read(name)) == put
        # What frees space works, and puts go on.
        world.call("DeleteStream", StreamName=name)
        world.gone(name)
        again = world.create()

        def fits() -> bool:
            try:
                world.put(again, bytes(1_000_000))
            except ClientError:
                return False
            return True

        waiting.until(fits, "there is room again")
        assert server.stop() == 0
    assert list(tmp_path.iterdir()) == [], "the directory is removed at the end"


def test_a_directory_of_a_newer_format(own_server: Server) -> None:
    own_server.stop()
    marker = own_server.data / "format"
    current = marker.read_text()
    number = int(current.split()[-1])
    marker.write_text(current.replace(str(number), str(number + 1)))
    for command in (["serve", "--listen", "127.0.0.1:0", "--data-dir", own_server.data], ["check", own_server.data]):
        done = run(*command)
        assert done.returncode != 0
        assert str(number + 1) in done.stderr, done.stderr
    marker.write_text(current)
    own_server.start()

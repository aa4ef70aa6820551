"""`/_millstream/health`, `/ready` and `/metrics`."""

from __future__ import annotations

import re

from support.http import Answer
from support.server import Server
from support.worlds import World


def page(world: World, name: str) -> Answer:
    return world.http.send("GET", f"/_millstream/{name}")


def metric(text: str, name: str) -> float:
    """The sum over a metric's series."""
    found = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.M)
    assert found, f"no metric {name}"
    return sum(map(float, found))


def test_health_and_readiness(world: World) -> None:
    for name in ("health", "ready"):
        answer = page(world, name)
        assert answer.status == 200, answer.body


def test_metrics_are_prometheus_text(world: World) -> None:
    name = world.create()
    world.put(name)
    answer = page(world, "metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    for line in answer.body.decode().splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) .*|[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})? \S+|", line), line


def test_what_is_measured(world: World) -> None:
    name = world.create()
    world.put(name)
    world.refused("DescribeStream", StreamName="nowhere")
    text = page(world, "metrics").body.decode()
    for part in ("commits_total", "sync_seconds", "commit_bytes", "in_flight_bytes", "cache_hits", "refus", "free", "logs"):
        assert re.search(rf"^millstream_\w*{part}", text, re.M), f"no metric about {part}"


def test_state_changes_need_a_post_with_json(world: World) -> None:
    for name in ("health", "ready", "metrics"):
        answer = world.http.send("POST", f"/_millstream/{name}", headers={"Content-Type": "text/plain"}, body=b"{}")
        assert answer.status in (403, 404, 405, 415)


def test_unknown_pages(world: World) -> None:
    assert page(world, "nonsense").status == 404


def test_commits_are_counted(own_server: Server) -> None:
    world = World(own_server)
    name = world.create()
    text = page(world, "metrics").body.decode()
    found = re.search(r"^(millstream_\w*commits\w*)", text, re.M)
    assert found, text
    before = metric(text, found[1])
    for _ in range(5):
        world.put(name)
    assert metric(page(world, "metrics").body.decode(), found[1]) >= before + 5

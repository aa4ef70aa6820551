"""The clock of a server with test controls, so that tests need not wait for what takes minutes or days."""

from __future__ import annotations

import json
from typing import Any

from support.worlds import World


def advance(world: World, by: str) -> Any:
    """Moves the clock of the world's server forwards. What was due by then is done when this returns."""
    body = json.dumps({"advance": by}).encode()
    answer = world.http.send(path="/_millstream/clock", headers={"Content-Type": "application/json"}, body=body)
    assert answer.status == 200, answer.body
    return answer.json()

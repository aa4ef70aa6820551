#!/usr/bin/env python3
"""The committed service model says what the pinned botocore says.

That the committed Rust is what the generator makes of that model is a Rust test (tools/codegen/tests/committed.rs).
Run this with the interpreter of .tools/python, which has the pinned botocore.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import botocore
import botocore.loaders

import tools


def without_documentation(value: Any) -> Any:
    """The model without its texts. (A structure may have a member of that name, which is no text.)"""
    if isinstance(value, dict):
        return {
            key: without_documentation(inner)
            for key, inner in value.items()
            if not (key == "documentation" and isinstance(inner, str))
        }
    return [without_documentation(inner) for inner in value] if isinstance(value, list) else value


def main() -> int:
    committed = json.loads((tools.ROOT / "tools" / "codegen" / "models" / "kinesis.json").read_text())
    model = without_documentation(botocore.loaders.Loader().load_service_model("kinesis", "service-2"))
    same = True
    for part in ("operations", "shapes"):
        names = set(committed[part]) | set(model[part])
        for name in sorted(names):
            if committed[part].get(name) != model[part].get(name):
                print(f"{part[:-1]} {name} differs from botocore {botocore.__version__}")
                same = False
    print(f"{len(model['operations'])} operations and {len(model['shapes'])} shapes compared")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Takes the facts of a service model out of a botocore wheel, and leaves the documentation behind.

    python3 tools/codegen/strip_model.py botocore-1.44.5-py3-none-any.whl kinesis/2013-12-02

writes tools/codegen/models/kinesis.json. Operations and shapes are sorted by name; the members of a structure keep
the model's order, which the order of validation errors follows. The wheel's version is pinned here so that a new
one is a decision: change it, run this, run the code generator, and read the difference.
"""

import gzip
import json
import pathlib
import sys
import zipfile

PINNED = "botocore-1.44.5-"
MODELS = pathlib.Path(__file__).resolve().parent / "models"


def without_documentation(value):
    if isinstance(value, dict):
        # A member could be called "documentation"; then it is a structure's entry, not a text.
        return {
            key: without_documentation(inner)
            for key, inner in value.items()
            if not (key == "documentation" and isinstance(inner, str))
        }
    if isinstance(value, list):
        return [without_documentation(inner) for inner in value]
    return value


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    wheel, service = pathlib.Path(sys.argv[1]), sys.argv[2]
    if not wheel.name.startswith(PINNED):
        sys.exit(f"{wheel.name} is not the pinned {PINNED}*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = archive.read(f"botocore/data/{service}/service-2.json.gz")
    model = without_documentation(json.loads(gzip.decompress(packed)))
    facts = {
        "source": f"{PINNED.rstrip('-').replace('-', ' ')}, data/{service}/service-2.json",
        "metadata": dict(sorted(model["metadata"].items())),
        "operations": dict(sorted(model["operations"].items())),
        "shapes": dict(sorted(model["shapes"].items())),
    }
    target = MODELS / f"{service.split('/')[0]}.json"
    target.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{target}: {len(facts['operations'])} operations, {len(facts['shapes'])} shapes")


if __name__ == "__main__":
    main()

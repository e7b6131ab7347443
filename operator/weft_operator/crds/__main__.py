"""`python -m weft_operator.crds FOLDER` writes the definitions; with `--check` it tells which files are not current."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from weft_operator.crds.definition import definitions, to_yaml


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or compare; the exit code is 1 where a comparison finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m weft_operator.crds", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the files are, one for each kind")
    parser.add_argument("--check", action="store_true", help="write nothing, and fail where a file is not current")
    options = parser.parse_args(arguments)
    texts = {name: to_yaml(document) for name, document in definitions().items()}
    if options.check:
        stale = differences(options.folder, texts)
        for line in stale:
            print(line, file=sys.stderr)
        return 1 if stale else 0
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (options.folder / name).write_text(text, encoding="utf-8")
    return 0


def differences(folder: Path, texts: Mapping[str, str]) -> list[str]:
    """What is missing, old or of no kind in `folder`, a line each."""
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.yaml")}
    return [
        *(f"{folder / name} is missing" for name in texts if name not in found),
        *(f"{folder / name} is not what the models say: run `make crds`" for name in texts.keys() & found.keys()
          if found[name] != texts[name]),
        *(f"{folder / name} belongs to no kind" for name in found if name not in texts),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

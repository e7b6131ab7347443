"""`weft analyze`: findings about YAML, without a cluster."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from weft_cli.findings import Format, exit_code, render
from weft_cli.folder import FolderSource
from weft_cli.workloads import injection_problems
from weft_core.ingest import replace_all
from weft_core.problems import by_severity
from weft_core.registry import Registry, Settings
from weft_core.view.problems import all_problems


def run_analyze(
    paths: Sequence[Path], *, output: Format = Format.TABLE, mesh_config: Path | None = None, color: bool | None = None
) -> int:
    """Print the findings; returns the exit code. Raises EnvironmentFault for files that can't be read."""
    source = FolderSource(paths, mesh_config)
    loaded = source.read()
    registry = Registry(Settings(derive_endpoints=True))
    replace_all(registry, loaded.objects, mesh=loaded.mesh, guards=loaded.guards)
    problems = by_severity(
        (
            *loaded.problems,
            *source.locate(all_problems(registry)),
            *injection_problems(source.texts, loaded.mesh),
        )
    )
    terminal = sys.stdout.isatty()
    coloured = terminal if color is None else color
    width = max(60, shutil.get_terminal_size().columns) if terminal or coloured else None
    sys.stdout.write(render(problems, output, color=coloured, width=width))
    return exit_code(problems)

"""Where YAML comes from: files, folders (all YAML below them), or standard input."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from weft_core.errors import EnvironmentFault

SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
STDIN: Final = "-"


def read_sources(paths: Iterable[Path]) -> tuple[tuple[str, str], ...]:
    """(name, text) of every file, folders searched in sorted order. Raises EnvironmentFault for what can't be read."""
    return tuple(text for given in paths for text in _read_all(given))


def yaml_files(folder: Path) -> Iterator[Path]:
    """All YAML files below a folder, sorted; hidden files and folders are left out."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix in SUFFIXES and not hidden and path.is_file():
            yield path


def _read_all(given: Path) -> Iterator[tuple[str, str]]:
    if not given.is_dir():
        try:
            yield _read(given)
        except FileNotFoundError:
            raise EnvironmentFault(f"{given}: no such file or folder") from None
        return
    for path in yaml_files(given):
        with contextlib.suppress(FileNotFoundError):  # gone since it was listed: an editor that writes by renaming
            yield _read(path)


def _read(path: Path) -> tuple[str, str]:
    if str(path) == STDIN:
        return "<stdin>", sys.stdin.read()
    try:
        return str(path), path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise EnvironmentFault(f"{path}: not a text file in UTF-8; name YAML files only") from None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise EnvironmentFault(f"{path}: {error.strerror}") from None

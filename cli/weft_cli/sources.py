"""Where YAML comes from: files, folders (all YAML below them), or standard input."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from weft_core.errors import EnvironmentFault

SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
STDIN: Final = "-"


def read_sources(paths: Iterable[Path]) -> tuple[tuple[str, str], ...]:
    """(name, text) of every file, folders searched in sorted order. Raises EnvironmentFault for what can't be read."""
    return tuple(_read(path) for given in paths for path in _files(given))


def yaml_files(folder: Path) -> Iterator[Path]:
    """All YAML files below a folder, sorted; hidden files and folders are left out."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix in SUFFIXES and not hidden and path.is_file():
            yield path


def _files(given: Path) -> Iterator[Path]:
    if given.is_dir():
        yield from yaml_files(given)
    else:
        yield given


def _read(path: Path) -> tuple[str, str]:
    if str(path) == STDIN:
        return "<stdin>", sys.stdin.read()
    try:
        return str(path), path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise EnvironmentFault(f"{path}: no such file or folder") from None
    except UnicodeDecodeError:
        raise EnvironmentFault(f"{path}: not a text file in UTF-8; name YAML files only") from None
    except OSError as error:
        raise EnvironmentFault(f"{path}: {error.strerror}") from None

"""The folder of what takes long to make: named by a digest of its inputs, made once, never half.

Things are made beside their place under another name and renamed into it, under a lock: an interrupted run leaves
nothing that the next one takes for whole, and two runs at once do not make the same thing twice.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def root() -> Path:
    """`$WEFT_CACHE`, or `weft` in the user's cache folder (XDG Base Directory Specification); outside the checkout."""
    if chosen := os.environ.get("WEFT_CACHE"):
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "weft"


def digest(files: Iterable[Path], *words: str) -> str:
    """Twelve hexadecimal digits that change with the name or the content of a file, its mode, or a word."""
    state = hashlib.sha256()
    for word in words:
        state.update(f"{len(word)}:{word}".encode())
    for file in sorted(files):
        content = file.read_bytes()
        state.update(f"{file.name}:{file.stat().st_mode & 0o111}:{len(content)}:".encode() + content)
    return state.hexdigest()[:12]


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; waits for whoever has it. The kernel lets go of it when the holder ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def made(place: Path, make: Callable[[Path], None]) -> Path:
    """`place`, made by `make` if it is missing; `make` is given another path beside it to write to."""
    if not place.exists():
        with lock(place.with_name(f".{place.name}.lock")):
            if not place.exists():
                draft = place.with_name(f".{place.name}.draft")
                draft.unlink(missing_ok=True)
                make(draft)
                draft.rename(place)
    return place

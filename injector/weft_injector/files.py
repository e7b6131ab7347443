"""Files that change together: what the kubelet does for a volume, done in a folder of ours.

A folder holds links `NAME -> ..data/NAME`; `..data` is a link to the folder of one generation. A new
generation is written aside and put in force by renaming one link, which is atomic: nobody ever sees files of
two generations side by side, and Envoy's `watched_directory` sees the rename.
"""

import os
import shutil
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from weft_core.errors import CertificateFault
from weft_injector.ca.bundle import TrustBundle
from weft_injector.ca.leaf import Leaf
from weft_injector.sds import CREDENTIALS_FILE, ROOTS_FILE, SecretFolder

_CURRENT = "..data"
_NEXT = "..data_tmp"
_GENERATION = "..generation."


class AtomicFolder:
    """One folder whose files are replaced all at once.

    Blocking; safe to use from several threads, not several processes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def write(self, files: Mapping[str, bytes]) -> bool:
        """Make these the folder's files, and no others. False if they were so already.

        Only the owner may read them. Raises `CertificateFault` if the folder cannot be written.
        """
        with self._lock:
            try:
                return self._write(files)
            except OSError as error:
                raise CertificateFault(f"{self.path}: cannot write certificates ({error})") from error

    def _write(self, files: Mapping[str, bytes]) -> bool:
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._read() == dict(files):
            return False
        previous = self._current()
        generation = Path(tempfile.mkdtemp(prefix=_GENERATION, dir=self.path))  # a new name, mode 0700
        for name, content in files.items():
            with open(generation / name, "xb", opener=_owner_only) as file:
                file.write(content)
        self._point_to(generation)
        self._link(files)
        # The previous generation stays: a reader that followed the link just before the swap still finds its files.
        self._remove_generations(keep={generation.name, previous})
        return True

    def _read(self) -> dict[str, bytes]:
        """The files in force, by name; empty for a new folder."""
        current = self.path / _CURRENT
        return {file.name: file.read_bytes() for file in current.iterdir()} if current.is_dir() else {}

    def _current(self) -> str:
        """The name of the generation in force, empty if there is none."""
        link = self.path / _CURRENT
        return link.readlink().name if link.is_symlink() else ""

    def _point_to(self, generation: Path) -> None:
        following = self.path / _NEXT
        following.unlink(missing_ok=True)  # left behind by a crash
        following.symlink_to(generation.name)
        following.rename(self.path / _CURRENT)

    def _link(self, files: Mapping[str, bytes]) -> None:
        for stale in self.path.iterdir():
            if not stale.name.startswith("..") and stale.name not in files:
                stale.unlink()
        for name in files:
            link = self.path / name
            if not link.is_symlink():
                link.symlink_to(Path(_CURRENT, name))

    def _remove_generations(self, *, keep: set[str]) -> None:
        for old in self.path.glob(f"{_GENERATION}*"):
            if old.name not in keep:
                shutil.rmtree(old)


class CredentialFolder:
    """A workload's `AtomicFolder`: its credentials, its roots, and the SDS documents that lead Envoy to them.

    `seen_as` is the same folder as the proxy names it, which differs where the proxy runs in another working
    directory.
    """

    def __init__(self, path: Path, *, seen_as: SecretFolder) -> None:
        self._folder = AtomicFolder(path)
        self._documents = seen_as.documents()

    def deliver(self, leaf: Leaf, bundle: TrustBundle) -> None:
        """Put a leaf and the roots in force together. Raises `CertificateFault` for a leaf without its key."""
        if leaf.key_pem is None:
            raise CertificateFault(
                f"{self._folder.path}: the key of {leaf.identity} is not here, so it cannot be written"
            )
        files = {CREDENTIALS_FILE: leaf.key_pem + leaf.chain_pem, ROOTS_FILE: bundle.pem}
        self._folder.write({**files, **self._documents})


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)

"""Where the root is kept on disk: a folder with the four files of a plugged-in CA.

The layout is the one that `plugged_in` reads, so there is one way to load an authority, and an own CA is used
by putting its files into the folder. The folder appears whole or not at all, also when two processes create
it at once.
"""

import os
import shutil
import stat
import tempfile
from datetime import datetime
from pathlib import Path

from weft_core.errors import CertificateFault
from weft_injector.ca.authority import Authority
from weft_injector.ca.keys import certificates_pem, private_key_pem
from weft_injector.ca.plugged_in import CA_CERT, CA_KEY, CERT_CHAIN, ROOT_CERT, PluggedInCertificates

_FORBIDDEN_MODE = stat.S_IWGRP | stat.S_IRWXO


def load_authority(folder: Path, *, trust_domain: str, now: datetime) -> Authority:
    """The authority in `folder`. Raises `CertificateFault` for a missing, unfitting or too widely readable file."""
    key_file = folder / CA_KEY
    _refuse_exposed_key(key_file)
    chain = folder / CERT_CHAIN
    files = PluggedInCertificates(
        ca_cert=_read(folder / CA_CERT),
        ca_key=_read(key_file),
        root_cert=_read(folder / ROOT_CERT),
        cert_chain=_read(chain) if chain.exists() else b"",
    )
    try:
        return files.authority(trust_domain=trust_domain, now=now)
    except CertificateFault as fault:
        raise CertificateFault(f"{folder}: {fault}") from fault


def load_or_create_authority(folder: Path, *, trust_domain: str, now: datetime) -> Authority:
    """The authority in `folder`; where there is none yet, a new root, kept there with modes 0700 and 0600."""
    if not _is_vacant(folder):
        return load_authority(folder, trust_domain=trust_domain, now=now)
    _create(folder, Authority.self_made(trust_domain=trust_domain, now=now))
    # Another process may have been first: what lies in the folder counts.
    return load_authority(folder, trust_domain=trust_domain, now=now)


def _is_vacant(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except FileNotFoundError:
        return True
    except OSError as error:
        raise CertificateFault(f"{folder}: cannot read the CA's folder ({error.strerror})") from error


def _create(folder: Path, authority: Authority) -> None:
    """Write all files beside `folder`, then rename them into its place.

    rename(2) replaces an empty folder, never a filled one: of two processes the second reads the first one's root.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise CertificateFault(f"{folder}: cannot create the CA's folder ({error.strerror})") from error
    try:
        _write(draft / CA_KEY, private_key_pem(authority.key), 0o600)
        _write(draft / CA_CERT, certificates_pem((authority.certificate,)), 0o644)
        _write(draft / ROOT_CERT, authority.bundle.pem, 0o644)
        _write(draft / CERT_CHAIN, certificates_pem(authority.intermediates), 0o644)
        draft.rename(folder)
    except OSError as error:
        if _is_vacant(folder):
            raise CertificateFault(f"{folder}: cannot write the CA's files ({error.strerror})") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write through to the disk: a root that is lost in a power cut orphans every leaf it has signed."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateFault(f"{path}: cannot be read ({error.strerror})") from error


def _refuse_exposed_key(path: Path) -> None:
    """Everyone who reads this key can be any workload of the mesh, so others' access is refused, as ssh does."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise CertificateFault(f"{path}: cannot be read ({error.strerror})") from error
    if mode & _FORBIDDEN_MODE:
        raise CertificateFault(
            f"{path}: others may read or change the mesh's signing key (mode {stat.S_IMODE(mode):04o}); "
            f"run `chmod 600 {path}`, and replace the key if others use this machine"
        )

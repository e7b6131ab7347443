"""Files that change together: what a reader may see, at any moment."""

import os
import stat
import threading
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from weft_core.errors import CertificateFault
from weft_core.spiffe import SpiffeId
from weft_injector.ca.authority import Authority
from weft_injector.files import AtomicFolder, CredentialFolder
from weft_injector.sds import CREDENTIALS_FILE, ROOTS_FILE, WORKLOAD_SECRETS


@pytest.fixture
def folder(tmp_path: Path) -> AtomicFolder:
    return AtomicFolder(tmp_path / "certs")


def visible(folder: AtomicFolder) -> dict[str, bytes]:
    """What a reader who knows nothing of generations finds."""
    return {file.name: file.read_bytes() for file in folder.path.iterdir() if not file.name.startswith("..")}


def generations(folder: AtomicFolder) -> list[str]:
    return [entry.name for entry in folder.path.iterdir() if entry.name.startswith("..generation.")]


def test_files_appear_change_and_leave_together(folder: AtomicFolder) -> None:
    assert folder.write({"a": b"1", "b": b"1"})
    assert visible(folder) == {"a": b"1", "b": b"1"}
    assert folder.write({"b": b"2", "c": b"2"})
    assert visible(folder) == {"b": b"2", "c": b"2"}


def test_the_layout_is_the_kubelets(folder: AtomicFolder) -> None:
    """Envoy watches for a rename in the folder itself; names lead through the one link that is renamed."""
    folder.write({"a": b"1"})
    assert (folder.path / "a").readlink() == Path("..data/a")
    assert (folder.path / "..data").readlink().name in generations(folder)


def test_equal_files_swap_nothing(folder: AtomicFolder) -> None:
    folder.write({"a": b"1"})
    before = (folder.path / "..data").readlink()
    assert not folder.write({"a": b"1"})
    assert (folder.path / "..data").readlink() == before


def test_a_reader_of_the_previous_generation_still_finds_its_files(folder: AtomicFolder) -> None:
    folder.write({"a": b"1"})
    followed = (folder.path / "..data").resolve()
    folder.write({"a": b"2"})
    assert (followed / "a").read_bytes() == b"1"
    folder.write({"a": b"3"})
    assert not followed.exists(), "old keys do not pile up"
    assert len(generations(folder)) == 2


def test_only_the_owner_may_read(folder: AtomicFolder) -> None:
    umask = os.umask(0)
    try:
        folder.write({"a": b"1"})
    finally:
        os.umask(umask)
    assert stat.S_IMODE((folder.path / "a").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_what_a_crash_left_behind_is_cleared_away(folder: AtomicFolder) -> None:
    folder.write({"a": b"1"})
    (folder.path / "..data_tmp").symlink_to("..generation.lost")
    (folder.path / "..generation.lost").mkdir()
    folder.write({"a": b"2"})
    assert visible(folder) == {"a": b"2"}
    assert "..generation.lost" not in generations(folder)
    assert not (folder.path / "..data_tmp").is_symlink()


def test_readers_never_see_two_generations_mixed(folder: AtomicFolder) -> None:
    """A reader that opens the generation once reads one generation, however fast the writer is."""
    folder.write({"a": b"0", "b": b"0"})
    stop = threading.Event()
    mixed: list[tuple[bytes, bytes]] = []

    def read() -> None:
        while not stop.is_set():
            generation = (folder.path / "..data").resolve()
            try:
                pair = (generation / "a").read_bytes(), (generation / "b").read_bytes()
            except FileNotFoundError:
                continue  # two swaps since the link was followed
            if pair[0] != pair[1]:
                mixed.append(pair)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        content = str(number).encode()
        folder.write({"a": content, "b": content})
    stop.set()
    reader.join()
    assert mixed == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CertificateFault, match=r"file/certs: cannot write certificates"):
        AtomicFolder(tmp_path / "file" / "certs").write({"a": b"1"})


def test_key_and_certificate_are_one_file_that_fits(
    tmp_path: Path, authority: Authority, reviews: SpiffeId, now: datetime
) -> None:
    destination = CredentialFolder(tmp_path / "certs", seen_as=WORKLOAD_SECRETS)
    destination.deliver(authority.issue(reviews, now=now), authority.bundle)
    credentials = (tmp_path / "certs" / CREDENTIALS_FILE).read_bytes()
    assert credentials.startswith(b"-----BEGIN PRIVATE KEY-----"), "the key comes first, as in a pod certificate"
    key = serialization.load_pem_private_key(credentials, password=None)
    assert key.public_key() == x509.load_pem_x509_certificate(credentials).public_key()
    assert (tmp_path / "certs" / ROOTS_FILE).read_bytes() == authority.bundle.pem
    for name, document in WORKLOAD_SECRETS.documents().items():
        assert (tmp_path / "certs" / name).read_bytes() == document


def test_a_leaf_without_its_key_is_not_written(
    tmp_path: Path, authority: Authority, reviews: SpiffeId, now: datetime
) -> None:
    public_key = ec.generate_private_key(ec.SECP256R1()).public_key()
    leaf = authority.issue(reviews, now=now, public_key=public_key)
    with pytest.raises(CertificateFault, match="is not here"):
        CredentialFolder(tmp_path / "certs", seen_as=WORKLOAD_SECRETS).deliver(leaf, authority.bundle)
    assert not (tmp_path / "certs").exists()

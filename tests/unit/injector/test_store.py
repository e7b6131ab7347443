"""The root on disk: made once, kept private, whole or not at all."""

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest

from weft_core.errors import CertificateFault
from weft_injector.ca.store import load_authority, load_or_create_authority


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ca"


def test_the_root_survives_a_restart(folder: Path, now: datetime) -> None:
    first = load_or_create_authority(folder, trust_domain="cluster.local", now=now)
    again = load_or_create_authority(folder, trust_domain="cluster.local", now=now)
    assert again.certificate == first.certificate
    assert again.bundle == first.bundle
    assert again.intermediates == ()


def test_only_the_owner_may_read_the_key(folder: Path, now: datetime) -> None:
    load_or_create_authority(folder, trust_domain="cluster.local", now=now)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "ca-key.pem").stat().st_mode) == 0o600


def test_an_empty_folder_is_filled(folder: Path, now: datetime) -> None:
    folder.mkdir(parents=True)
    load_or_create_authority(folder, trust_domain="cluster.local", now=now)
    assert {file.name for file in folder.iterdir()} == {"ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"}


def test_processes_that_start_at_once_share_one_root(folder: Path, now: datetime) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(load_or_create_authority, folder, trust_domain="cluster.local", now=now) for _ in range(8)]
    assert len({future.result().certificate for future in made}) == 1
    assert [entry.name for entry in folder.parent.iterdir()] == ["ca"], "no drafts are left behind"


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o666, 0o620])
def test_a_key_that_others_may_touch_is_refused_with_the_fix(folder: Path, now: datetime, mode: int) -> None:
    load_or_create_authority(folder, trust_domain="cluster.local", now=now)
    key = folder / "ca-key.pem"
    key.chmod(mode)
    with pytest.raises(CertificateFault, match=rf"mode {mode:04o}.*chmod 600 {key}"):
        load_or_create_authority(folder, trust_domain="cluster.local", now=now)


def test_a_group_may_read_the_key(folder: Path, now: datetime) -> None:
    """The kubelet gives a mounted Secret to the pod's fsGroup."""
    load_or_create_authority(folder, trust_domain="cluster.local", now=now)
    (folder / "ca-key.pem").chmod(0o440)
    load_authority(folder, trust_domain="cluster.local", now=now)


@pytest.mark.parametrize("name", ["ca-cert.pem", "ca-key.pem", "root-cert.pem"])
def test_a_missing_file_is_named_and_not_replaced(folder: Path, now: datetime, name: str) -> None:
    load_or_create_authority(folder, trust_domain="cluster.local", now=now)
    (folder / name).unlink()
    with pytest.raises(CertificateFault, match=rf"{name}: cannot be read"):
        load_or_create_authority(folder, trust_domain="cluster.local", now=now)


def test_a_fault_names_the_folder(folder: Path, now: datetime) -> None:
    load_or_create_authority(folder, trust_domain="cluster.local", now=now)
    (folder / "root-cert.pem").write_text("garbage")
    with pytest.raises(CertificateFault, match=rf"^{folder}: root-cert.pem: not a certificate"):
        load_authority(folder, trust_domain="cluster.local", now=now)


def test_a_file_in_the_folders_place_is_named(tmp_path: Path, now: datetime) -> None:
    (tmp_path / "ca").write_text("")
    with pytest.raises(CertificateFault, match="cannot read the CA's folder"):
        load_or_create_authority(tmp_path / "ca", trust_domain="cluster.local", now=now)


def test_a_parent_that_cannot_be_made_is_named(tmp_path: Path, now: datetime) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CertificateFault, match="CA's folder"):
        load_or_create_authority(tmp_path / "file" / "ca", trust_domain="cluster.local", now=now)

"""The images of the node's pods, built without a registry: a Debian base, the cluster's own two, Weft and the sample.

podman keeps them in a storage of its own in the cache, with the layers of former builds, so that a change of Weft's
code repeats the last steps of its Dockerfile only. Containerd takes all of them from one archive, which has the layers
that they share once.
"""

import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bringup import cache
from bringup.binaries import built
from bringup.errors import Failed

REPOSITORY = Path(__file__).resolve().parents[3]
WEFT = "localhost/weft:dev"
BOOKSHOP = "localhost/weft-bookshop:1.0"
PAUSE = "localhost/weft-test-pause:1.0"
COREDNS = "localhost/weft-test-coredns:1.0"

PACKAGES = ("ca-certificates", "iptables", "nftables", "python3")
_SUITE = "bookworm"
_APT_SOURCES = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")
_CERTIFICATES = Path("/etc/ssl/certs")


@dataclass(frozen=True, slots=True)
class Images:
    """Names to use in Pods (with `imagePullPolicy: IfNotPresent`), and the archive that holds them all."""

    archive: Path
    weft: str = WEFT
    bookshop: str = BOOKSHOP
    pause: str = PAUSE
    coredns: str = COREDNS


def build() -> Images:
    """Build what has changed; returns when the archive is complete."""
    with cache.lock(_storage() / ".lock"):
        try:
            return _build()
        finally:
            # podman leaves a bind mount of the storage on itself
            subprocess.run(["umount", str(_storage() / "graph/overlay")], capture_output=True, check=False)


def _build() -> Images:
    base = _base()
    _binary(PAUSE, "pause")
    _binary(COREDNS, "coredns")
    _dockerfile(BOOKSHOP, REPOSITORY / "examples/bookshop", base)
    _dockerfile(WEFT, REPOSITORY, base)
    names = (PAUSE, COREDNS, BOOKSHOP, WEFT)
    identities = _podman("image", "inspect", "--format", "{{.Id}}", *names)
    place = cache.root() / f"images-{cache.digest((), identities)}.tar"
    for former in cache.root().glob("images-*.tar"):
        if former != place:
            former.unlink()
    archive = cache.made(place, lambda draft: _save(draft, names))
    # Layers of builds that nothing has used for a day: without this each change of the code would stay for good.
    _podman("image", "prune", "--force", "--filter", "until=24h")
    return Images(archive)


def _save(archive: Path, names: tuple[str, ...]) -> None:
    _podman("save", "--quiet", "--multi-image-archive", "--output", str(archive), *names)


def _base() -> str:
    """Debian with Python, made of packages from this machine's own sources; its name says what is in it."""
    release = platform.freedesktop_os_release()
    here = release["ID"] == "debian"  # elsewhere Debian's public sources serve, which mmdebstrap knows
    sources = [file for file in map(Path, _APT_SOURCES) if here and file.exists()]
    suite = release["VERSION_CODENAME"] if here else _SUITE
    name = f"localhost/weft-test-base:{cache.digest(sources, suite, *PACKAGES)}"
    if not _exists(name):
        archive = _storage() / "base.tar"
        trimmed = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "man", "locale")]
        _run(
            "mmdebstrap",
            "--quiet",
            "--mode=root",
            "--variant=minbase",
            f"--include={','.join(PACKAGES)}",
            *trimmed,
            suite,
            str(archive),
            *map(str, sources),
        )
        _podman("import", "--quiet", str(archive), name)
        archive.unlink()
    return name


def _binary(name: str, program: str) -> None:
    """An image of one static program and nothing else."""
    context = _storage() / f"context-{program}"
    context.mkdir(exist_ok=True)
    shutil.copy2(built(program), context / program)
    (context / "Dockerfile").write_text(f'FROM scratch\nCOPY {program} /{program}\nENTRYPOINT ["/{program}"]\n')
    _podman("build", "--quiet", "--layers", "--pull=never", "--tag", name, str(context))


def _dockerfile(name: str, context: Path, base: str) -> None:
    """An image of the repository, on our base. The machine's certificates serve those behind a proxy with its own."""
    trust = ["--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro"] if _CERTIFICATES.exists() else []
    where = ["--isolation=chroot", "--network=host", *trust]
    what = ["--tag", name, "--build-arg", f"BASE={base}", str(context)]
    _podman("build", "--quiet", "--layers", "--pull=never", *where, *what)


def _exists(name: str) -> bool:
    command = [*_PODMAN, *_folders(), "image", "exists", name]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


_PODMAN = ("podman", "--storage-driver=overlay", "--cgroup-manager=cgroupfs", "--runtime=runc")


def _storage() -> Path:
    return cache.root() / "podman"


def _folders() -> tuple[str, ...]:
    return ("--root", str(_storage() / "graph"), "--runroot", str(_storage() / "run"))


def _podman(*args: str) -> str:
    return _run(*_PODMAN, *_folders(), *args)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout

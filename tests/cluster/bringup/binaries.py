"""The programs of a cluster: those of this machine, or built once from their Go modules into the cache.

Nothing is downloaded that is not source code: the Go module proxy serves it, `go.sum` pins it, and the versions of all
parts are those of one `go.mod`, so that they share what is compiled.
"""

import contextlib
import functools
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bringup import cache
from bringup.errors import Failed, Unavailable

KUBERNETES = "v1.37.2"
HELM = "v3.22.0"
SOURCES = Path(__file__).resolve().parents[1] / "build"

# One binary answers to all of these names.
PARTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)
PACKAGES = {"kube": "./kube", "coredns": "./coredns", "pause": "./pause", "helm": "helm.sh/helm/v3/cmd/helm"}


def _stamps() -> tuple[str, ...]:
    """Linker flags for the version: without them the API server calls itself v0.0.0, which charts look at."""
    major, minor, _ = KUBERNETES.removeprefix("v").split(".")
    fields = {"gitVersion": KUBERNETES, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    stamps = [f"-X={package}.{field}={value}" for package in packages for field, value in fields.items()]
    return ("-s", "-w", *stamps, f"-X=helm.sh/helm/v3/internal/version.version={HELM}")


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where programs are found: `folder` first if there is one, then PATH. What is missing in both is built."""

    folder: Path | None = None

    def find(self, name: str) -> Path:
        """The program `name`, built if need be; `Unavailable` if it can't be had on this machine."""
        if self.folder is not None and (self.folder / name).exists():
            return self.folder / name
        # A kubectl or helm of this machine may be of any age: those of the cluster's own version are preferred.
        if self.folder is None and (found := shutil.which(name)):
            return Path(found)
        return built(name)


def chosen() -> Binaries:
    """`$KUBEBUILDER_ASSETS` (the folder of envtest), or PATH if the API server is on it, or what is built here."""
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        folder = Path(assets).absolute()
        if missing := [name for name in ("etcd", "kube-apiserver") if not (folder / name).exists()]:
            raise Unavailable(f"KUBEBUILDER_ASSETS={folder} has no {' and no '.join(missing)}")
        return Binaries(folder)
    if shutil.which("kube-apiserver") and shutil.which("etcd"):
        return Binaries()
    return Binaries(built("kube-apiserver").parent)


def built(name: str) -> Path:
    """The program `name` in the cache, built from its Go modules if the cache has none of these sources."""
    folder = cache.root() / f"binaries-{_digest()}"
    package = "kube" if name in PARTS else name
    if package not in PACKAGES:
        raise Unavailable(f"{name} is not on PATH, and it is not among the programs that are built")
    cache.made(folder / package, lambda draft: _build(PACKAGES[package], draft))
    if package != name:
        with contextlib.suppress(FileExistsError):
            (folder / name).symlink_to(package)
    return folder / name


@functools.cache
def _digest() -> str:
    sources = [file for file in SOURCES.rglob("*") if file.suffix in {".go", ".mod", ".sum"}]
    return cache.digest(sources, *_stamps())


def _build(package: str, target: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise Unavailable("Go is not installed (https://go.dev/doc/install), and no kube-apiserver is on PATH")
    # One value of CGO_ENABLED for all: with another one nothing that is compiled would be shared.
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -mod=readonly"}
    print(f"building {package} of {SOURCES}: minutes, once", file=sys.stderr, flush=True)
    command = [go, "build", "-trimpath", "-ldflags", " ".join(_stamps()), "-o", str(target), package]
    done = subprocess.run(command, cwd=SOURCES, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command)}\n{done.stderr[-4000:]}")

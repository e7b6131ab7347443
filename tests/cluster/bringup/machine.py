"""What a machine must have to run a node, and the Debian packages that bring it.

A node needs root, Linux, and the programs that Kubernetes itself does not contain. Where apt-get is there they are
installed; no service of theirs is started, by Debian's own means for that (policy-rc.d).
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bringup.errors import Unavailable

CNI_PLUGINS = Path("/usr/lib/cni")

# program -> Debian package; a path stands for a file that is no command
PACKAGES = {
    "conntrack": "conntrack",
    "containerd": "containerd",
    "ip": "iproute2",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "nsenter": "util-linux",
    "podman": "podman",
    "runc": "runc",
    str(CNI_PLUGINS / "bridge"): "containernetworking-plugins",
}
_CGROUPS = Path("/sys/fs/cgroup")
_POLICY = Path("/usr/sbin/policy-rc.d")


def prepare() -> None:
    """Make sure that a node can run here: `Unavailable` says what is missing."""
    if sys.platform != "linux":
        raise Unavailable("a node needs Linux")
    if os.geteuid() != 0:
        raise Unavailable("a node needs root: it makes namespaces, cgroups and mounts")
    ensure(PACKAGES)
    _try_namespaces()
    _try_cgroups()


def ensure(packages: Mapping[str, str]) -> None:
    """Make sure that these programs are here, by the Debian packages that they are in; `Unavailable` where it fails."""
    if missing := _missing(packages):
        _install([packages[program] for program in missing])
    if missing := _missing(packages):
        raise Unavailable(f"not there, even after the installation: {', '.join(missing)}")


def _try_namespaces() -> None:
    """Root inside of a container may lack what root has: find out before minutes are spent on images."""
    attempt = "mount -t tmpfs tmpfs /mnt && ip link add left type veth peer name right && ip link add up type bridge"
    command = ["unshare", "--mount", "--pid", "--fork", "--net", "sh", "-c", attempt]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"a node needs namespaces, mounts, veth pairs and bridges: {done.stderr.strip()}")


def _try_cgroups() -> None:
    for hierarchy in hierarchies():
        attempt = hierarchy / f"weft-test-{os.getpid()}"
        try:
            attempt.mkdir()
            attempt.rmdir()
        except OSError as error:
            raise Unavailable(f"a node needs to make cgroups: {error}") from error


def hierarchies() -> list[Path]:
    """Where cgroups are mounted: one place with version 2, a dozen with version 1."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS]
    if found := [place.parent for place in sorted(_CGROUPS.glob("*/cgroup.procs"))]:
        return found
    raise Unavailable(f"a node needs cgroups: {_CGROUPS} has none")


def _missing(packages: Iterable[str]) -> list[str]:
    return [program for program in packages if shutil.which(program) is None]


def _install(packages: list[str]) -> None:
    if shutil.which("apt-get") is None:
        raise Unavailable(f"{', '.join(packages)} must be installed, and there is no apt-get to do it with")
    command = ["apt-get", "install", "--quiet", "--yes", "--no-install-recommends", *packages]
    with _no_services():
        for step in (["apt-get", "update", "--quiet"], command):
            environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            done = subprocess.run(step, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise Unavailable(f"{' '.join(step)} failed: {done.stderr.strip()[-1000:]}")


@contextmanager
def _no_services() -> Iterator[None]:
    """invoke-rc.d(8) asks this script before it starts a service; one that is there already stays in charge."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()

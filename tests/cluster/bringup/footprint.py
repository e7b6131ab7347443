"""What a node changes on the machine outside of its namespaces, and how that is put back.

The kubelet sets kernel parameters that no namespace keeps apart; the parts insist on folders and control groups; a pair
of virtual interfaces leads into the node.
"""

import contextlib
import os
import time
from pathlib import Path

from bringup.errors import Failed
from bringup.machine import hierarchies
from bringup.network import disconnect

CGROUP = "weft-test"
_CGROUPS = (CGROUP, "k8s.io")  # ours, and the one that containerd makes unasked
PARAMETERS = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)

# In the node each of these is a private folder; on the machine it only has to exist, to be mounted over.
FOLDERS = (
    "/etc/cni/net.d",
    "/run/containerd",
    "/run/netns",
    "/var/lib/cni",
    "/var/lib/containerd",
    "/var/lib/kube-proxy",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
)


class Footprint:
    """Takes note of the machine when made; `restore` brings it back to that."""

    def __init__(self) -> None:
        files = [Path("/proc/sys", name) for name in PARAMETERS]
        self._parameters = {file: file.read_text() for file in files if file.exists()}
        self._groups = [group for group in _groups(_CGROUPS) if group.name == CGROUP or not group.exists()]
        self._folders: list[Path] = []

    def make(self) -> None:
        """The folders, and the control group below which the kubelet keeps its pods: it wants to find it."""
        for folder in map(Path, FOLDERS):
            for missing in reversed([place for place in (folder, *folder.parents) if not place.exists()]):
                missing.mkdir()
                self._folders.append(missing)
        for group in _groups((CGROUP,)):
            group.mkdir(exist_ok=True)
            # A cpuset of version 1 starts without processors, and lets nothing in until it has some.
            for name in ("cpuset.cpus", "cpuset.mems"):
                if group.parent.name == "cpuset" and (group / name).exists():
                    (group / name).write_text((group.parent / name).read_text())

    def restore(self) -> None:
        """Put everything back; what is gone already is no error."""
        disconnect()
        for folder in reversed(self._folders):
            with contextlib.suppress(OSError):
                folder.rmdir()
        for file, value in self._parameters.items():
            if file.read_text() != value:
                file.write_text(value)
        self._remove_groups()

    def _remove_groups(self) -> None:
        """What ran in them is dead; the kernel may take a moment to agree."""
        deadline = time.monotonic() + 10
        while left := [group for group in self._groups if group.exists()]:
            if time.monotonic() > deadline:
                raise Failed(f"still in use: {', '.join(map(str, left))}")
            for group in left:
                for child, _, _ in os.walk(group, topdown=False):
                    with contextlib.suppress(OSError):
                        Path(child).rmdir()


def _groups(names: tuple[str, ...]) -> list[Path]:
    """Paths of control groups in every hierarchy."""
    return [hierarchy / name for hierarchy in hierarchies() for name in names]

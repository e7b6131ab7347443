"""A whole node on this machine: containerd, kubelet, kube-proxy, DNS and the control plane, in namespaces of their own.

Killing the first process of the namespaces takes every process, mount, interface and packet filter rule of the node
with it. The machine reaches Pods and Services at their own addresses, over a pair of virtual interfaces, and Pods reach
the machine as `outside.test`; there is no way out to other networks.
"""

import fcntl
import json
import signal
import subprocess
import sys
import time
from io import TextIOWrapper
from pathlib import Path

from bringup import configuration, flags, images, machine
from bringup.binaries import Binaries, chosen
from bringup.cluster import CommandFailed
from bringup.control import ControlPlane
from bringup.daemons import Daemon
from bringup.errors import Failed
from bringup.footprint import FOLDERS, Footprint
from bringup.network import Network, connect

NAME = "node1"

_HERE = Path(__file__).parent
_CTR = ("ctr", f"--address={configuration.CONTAINERD_SOCKET}", "--namespace=k8s.io")
_LOCK = Path("/run/weft-test-node.lock")  # of the machine, whichever cache a checkout uses
_TURN_SECONDS = 1800.0


class Node(ControlPlane):
    """A cluster of one node, with the images loaded. One at a time on a machine: names and addresses are fixed."""

    def __init__(self, state: Path, *, binaries: Binaries | None = None) -> None:
        """`state` takes certificates, configuration and logs; containers live in memory. Builds what is missing."""
        machine.prepare()
        binaries = binaries or chosen()
        self.images = images.build()
        # The shell is there to read the number when a command is run; it is not known yet.
        enter = f'exec nsenter --target "$(cat {state.absolute()}/first.pid)" -m -p -n -u -i -- "$@"'
        super().__init__(
            state,
            binaries=binaries,
            network=Network.of_node(),
            controllers=("*",),
            prefix=("sh", "-c", enter, "enter"),
        )
        self._first = self._namespaces()
        self._containerd = self._container_runtime()
        self._workers = [self._scheduler(), self._proxy(), self._kubelet()]
        self._turn: TextIOWrapper | None = None
        self._footprint: Footprint | None = None

    def start(self) -> None:
        """Start all parts; returns when the node and its DNS are ready."""
        try:
            self._turn = take_turn()
            self._footprint = Footprint()
            self._footprint.make()
            self._enter()
            self._containerd.start()
            importing = self._import(self.images.archive)
            super().start()
            # A Pod made before its pause image is there goes into back-off.
            _imported(importing)
            for worker in self._workers:
                worker.start()
            self._await_readiness()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all parts and put the machine back. The state's folder stays, for its logs."""
        for daemon in (self._first, *self._workers, self._containerd):
            daemon.stop(signal.SIGKILL)
        super().stop()
        if self._footprint is not None:
            self._footprint.restore()
            self._footprint = None
        if self._turn is not None:
            self._turn.close()
            self._turn = None

    def restart_kubelet(self) -> None:
        """End the kubelet and start it anew, as an upgrade of the node does; pods go on meanwhile."""
        kubelet = next(worker for worker in self._workers if worker.name == "kubelet")
        kubelet.stop()
        kubelet.start()

    def run(self, *command: str | Path, timeout: float = 60) -> str:
        """What a command prints that is run on the node itself, as root: `ip`, `iptables-save`, `ctr`."""
        done = subprocess.run(
            [*map(str, self._prefix), *map(str, command)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise CommandFailed(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
        return done.stdout

    def _parts(self) -> list[Daemon]:
        return [self._first, self._containerd, *super()._parts(), *self._workers]

    # Parts

    def _namespaces(self) -> Daemon:
        pause = self.binaries.find("pause")
        kinds = ("--mount", "--pid", "--net", "--uts", "--ipc")
        enter = ["unshare", *kinds, "--fork", "--kill-child=SIGKILL", "--propagation=private"]
        script: list[str | Path] = [_HERE / "node.sh", self.state, NAME, pause, *FOLDERS]
        return Daemon([*enter, *script], self.state / "log/node.log", forks=True)

    def _container_runtime(self) -> Daemon:
        networks = self.state / "cni"
        networks.mkdir()
        (networks / "pods.conflist").write_text(json.dumps(configuration.pod_network(self.network)))
        file = self.state / "containerd.toml"
        file.write_text(configuration.containerd(networks))
        log = self.state / "log/containerd.log"
        return Daemon(["containerd", "--config", file], log, prefix=self._prefix, forks=True)

    def _scheduler(self) -> Daemon:
        login = self.trust.login("scheduler", "system:kube-scheduler")
        return self.daemon("kube-scheduler", flags.kube_scheduler(login))

    def _proxy(self) -> Daemon:
        login = self.trust.login("kube-proxy", "system:kube-proxy")
        file = self.state / "kube-proxy.json"
        file.write_text(json.dumps(configuration.kube_proxy(self.network, NAME, login), indent=2))
        return self.daemon("kube-proxy", [f"--config={file}"])

    def _kubelet(self) -> Daemon:
        login = self.trust.login("kubelet", f"system:node:{NAME}", "system:nodes")
        server = self.trust.kubelet_server(NAME, [family.node for family in self.network.families])
        resolver, file = self.state / "resolv.conf", self.state / "kubelet.json"
        resolver.write_text("nameserver 127.0.0.1\n")
        file.write_text(json.dumps(configuration.kubelet(self.trust.authority, server, resolver), indent=2))
        return self.daemon("kubelet", flags.kubelet(self.network, NAME, file, login))

    # Starting, in this order

    def _enter(self) -> None:
        """Make the namespaces and the way into them."""
        mounted = self.state / "mounted"
        mounted.unlink(missing_ok=True)
        self._first.start()
        self._first.wait_until(mounted.exists, 20)
        (self.state / "first.pid").write_text(str(self._first.pid))
        connect(self.network, self._first.pid, self.run)

    def _import(self, archive: Path) -> subprocess.Popen[str]:
        self._containerd.wait_until(self._containerd_answers, 30)
        command = [*map(str, self._prefix), *_CTR, "images", "import", str(archive)]
        quiet = subprocess.DEVNULL
        return subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=subprocess.PIPE, text=True)

    def _containerd_answers(self) -> bool:
        try:
            self.run(*_CTR, "version")
        except CommandFailed:
            return False
        return True

    def _await_readiness(self) -> None:
        self.kubectl("apply", "-f", _HERE / "coredns.yaml")
        try:
            self.kubectl("wait", "--for=create", f"node/{NAME}", "--timeout=60s")
            self.kubectl("wait", "--for=condition=Ready", f"node/{NAME}", "--timeout=60s")
            self.kubectl("rollout", "status", "-n", "kube-system", "deployment/coredns", "--timeout=110s")
        except CommandFailed as error:
            raise Failed(f"{error}\nThe kubelet's last words:\n{self._workers[-1].tail()}") from error


def take_turn() -> TextIOWrapper:
    """Wait until no other node runs here; the lock goes with the file that is returned, or with this process."""
    lock = _LOCK.open("w")
    deadline = time.monotonic() + _TURN_SECONDS
    said = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Failed(f"another node holds {_LOCK}") from None
            if not said:
                print(f"another node runs here: waiting for {_LOCK}", file=sys.stderr, flush=True)
                said = True
            time.sleep(0.5)
        else:
            return lock


def _imported(importing: subprocess.Popen[str]) -> None:
    _, complaint = importing.communicate(timeout=300)
    if importing.returncode:
        raise Failed(f"images could not be imported: {complaint}")

"""A whole node on this machine: containerd, kubelet, kube-proxy, DNS and the control plane, in namespaces of their own.

Killing the first process of the namespaces takes every process, mount, interface and packet filter rule of the node
with it. The machine reaches Pods and Services at their own addresses, over a pair of virtual interfaces, and Pods reach
the machine at `HOST_ADDRESS`; there is no way out to other networks.
"""

import fcntl
import json
import resource
import signal
import subprocess
import sys
import time
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from bringup import images, machine
from bringup.binaries import Binaries, chosen
from bringup.cluster import CommandFailed
from bringup.control import ControlPlane, Network
from bringup.daemons import Daemon
from bringup.errors import Failed
from bringup.footprint import CGROUP, FOLDERS, Footprint

NAME = "node1"
NODE_ADDRESS, HOST_ADDRESS = "172.30.0.1", "172.30.0.2"
NODE_ADDRESS6, HOST_ADDRESS6 = "fd57:6566:7430::1", "fd57:6566:7430::2"
DNS_ADDRESS = "10.96.0.10"
# The node's Pods, of each family: the first range that the controllers cut from the cluster's.
POD_SUBNETS = ("10.244.0.0/24", "fd57:6566:7444::/64")

_HERE = Path(__file__).parent
_SOCKET = "/run/containerd/containerd.sock"
_HOST_INTERFACE, _NODE_INTERFACE = "weft-test0", "weft-test1"
_LOCK = Path("/run/weft-test-node.lock")  # of the machine, whichever cache a checkout uses
_TURN_SECONDS = 1800.0


def network(*, dual_stack: bool) -> Network:
    """The node's network; IPv4 is the first family."""
    families = 2 if dual_stack else 1
    return Network(
        address=NODE_ADDRESS,
        service_ranges=("10.96.0.0/16", "fd57:6566:7496::/112")[:families],
        pod_ranges=("10.244.0.0/16", "fd57:6566:7444::/56")[:families],
        api_service_addresses=("10.96.0.1",),
    )


class Node(ControlPlane):
    """A cluster of one node, with the images loaded. One at a time on a machine: names and addresses are fixed."""

    def __init__(self, state: Path, *, binaries: Binaries | None = None) -> None:
        """`state` takes certificates, configuration and logs; containers live in memory. Builds what is missing."""
        machine.prepare()
        binaries = binaries or chosen()
        self.images = images.build()
        self.dual_stack = Path("/proc/net/if_inet6").exists()
        pause = binaries.find("pause")
        state = state.absolute()
        spaces = ("--mount", "--pid", "--fork", "--net", "--uts", "--ipc", "--kill-child=SIGKILL")
        first: list[str | Path] = [
            "unshare",
            *spaces,
            "--propagation=private",
            _HERE / "node.sh",
            state,
            NAME,
            pause,
            *FOLDERS,
        ]
        self._first = Daemon(first, state / "log/node.log", forks=True)
        self._turn: TextIOWrapper | None = None
        self._footprint: Footprint | None = None
        super().__init__(
            state,
            binaries=binaries,
            network=network(dual_stack=self.dual_stack),
            controllers=("*",),
            prefix=("sh", "-c", f'exec nsenter --target "$(cat {state}/first.pid)" -m -p -n -u -i -- "$@"', "enter"),
        )
        self._write_configuration()
        self._containerd = Daemon(
            ["containerd", "--config", self.state / "containerd.toml"],
            self.state / "log/containerd.log",
            prefix=self._prefix,
            forks=True,
        )
        self._workers = [
            self.daemon("kube-scheduler", self._login_flags("scheduler")),
            self.daemon("kube-proxy", [f"--config={self.state / 'kube-proxy.json'}"]),
            self.daemon("kubelet", self._kubelet_flags()),
        ]

    def start(self) -> None:
        """Start all parts; returns when the node and its DNS are ready."""
        try:
            self._take_turn()
            self._footprint = Footprint(_HOST_INTERFACE)
            self._enter()
            self._containerd.start()
            importing = self._import(self.images.archive)
            super().start()
            # A Pod made before its pause image is there goes into back-off.
            self._imported(importing)
            for worker in self._workers:
                worker.start()
            self._await_readiness()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all parts and put the machine back. The state's folder stays, for its logs."""
        self._first.stop(signal.SIGKILL)
        for daemon in (*self._workers, self._containerd):
            daemon.stop(signal.SIGKILL)
        super().stop()
        if self._footprint is not None:
            self._footprint.restore()
            self._footprint = None
        if self._turn is not None:
            self._turn.close()
            self._turn = None

    def check(self) -> None:
        """Raise `Failed` if a part that should run has ended."""
        super().check()
        for part in (self._containerd, *self._workers):
            if not part.running:
                raise Failed(f"{part.name} has ended:\n{part.tail()}")

    def load(self, archive: Path) -> None:
        """Load more images, from an archive of `podman save`."""
        self._imported(self._import(archive))

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

    # Starting, in this order

    def _take_turn(self) -> None:
        """Wait until no other node runs here; the lock goes with this process."""
        self._turn = _LOCK.open("w")
        deadline = time.monotonic() + _TURN_SECONDS
        waits = False
        while True:
            try:
                fcntl.flock(self._turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Failed(f"another node holds {_LOCK}") from None
                if not waits:
                    print(f"another node runs here; waiting for {_LOCK}", file=sys.stderr, flush=True)
                waits = True
                time.sleep(0.5)
            else:
                return

    def _enter(self) -> None:
        """Make the namespaces and the way into them."""
        assert self._footprint is not None
        self._footprint.make()
        (self.state / "mounted").unlink(missing_ok=True)
        self._first.start()
        self._first.wait_until((self.state / "mounted").exists, 20)
        (self.state / "first.pid").write_text(str(self._first.pid))
        _ip("link", "add", _HOST_INTERFACE, "type", "veth", "peer", "name", _NODE_INTERFACE, "netns", self._first.pid)
        self.run("ip", "link", "set", "lo", "up")
        for family in self._families():
            family.connect(self.run)
        self.run("sh", "-c", "echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables || true")

    def _import(self, archive: Path) -> subprocess.Popen[str]:
        self._containerd.wait_until(self._answers, 30)
        command = [*map(str, self._prefix), "ctr", f"--address={_SOCKET}", "--namespace=k8s.io", "images", "import"]
        return subprocess.Popen(
            [*command, str(archive)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _imported(self, importing: subprocess.Popen[str]) -> None:
        _, complaint = importing.communicate(timeout=300)
        if importing.returncode:
            raise Failed(f"images could not be imported: {complaint}")

    def _answers(self) -> bool:
        try:
            self.run("ctr", f"--address={_SOCKET}", "version")
        except CommandFailed:
            return False
        return True

    def _await_readiness(self) -> None:
        self.kubectl("apply", "-f", _HERE / "coredns.yaml")
        try:
            self.kubectl("wait", "--for=create", f"node/{NAME}", "--timeout=60s")
            self.kubectl("wait", "--for=condition=Ready", f"node/{NAME}", "--timeout=60s")
            self.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s")
            self.kubectl("rollout", "status", "-n", "kube-system", "deployment/coredns", "--timeout=110s")
        except CommandFailed as error:
            raise Failed(f"{error}\nkubelet's last words:\n{self._workers[-1].tail()}") from error

    # Configuration

    def _families(self) -> list["_Family"]:
        addresses = [(NODE_ADDRESS, HOST_ADDRESS), (NODE_ADDRESS6, HOST_ADDRESS6)]
        ranges = zip(self.network.pod_ranges, self.network.service_ranges, strict=True)
        return [_Family(*pair, pods, services) for pair, (pods, services) in zip(addresses, ranges, strict=False)]

    def _login_flags(self, name: str) -> list[str]:
        login = self.pki.kubeconfigs[name]
        options = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
        return [*(f"--{option}={login}" for option in options), "--leader-elect=false"]

    def _kubelet_flags(self) -> list[str]:
        addresses = (NODE_ADDRESS, NODE_ADDRESS6) if self.dual_stack else (NODE_ADDRESS,)
        return [
            f"--config={self.state / 'kubelet.json'}",
            f"--kubeconfig={self.pki.kubeconfigs['kubelet']}",
            f"--hostname-override={NAME}",
            f"--node-ip={','.join(addresses)}",
        ]

    def _write_configuration(self) -> None:
        for name, user, group in (
            ("scheduler", "system:kube-scheduler", ""),
            ("kube-proxy", "system:kube-proxy", ""),
            ("kubelet", f"system:node:{NAME}", "system:nodes"),
        ):
            self.pki.subject(self.network, name, user, group)
        server = self.pki.authority.server(
            "kubelet-server", [NAME, NODE_ADDRESS, NODE_ADDRESS6], subject=f"system:node:{NAME}", group="system:nodes"
        )
        files, cpu_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1], {"maxPerCore": 0, "min": 0}
        (self.state / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        kubelet = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "x509": {"clientCAFile": str(self.pki.authority.files.public)},
            },
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{CGROUP}",
            "clusterDNS": [DNS_ADDRESS],
            "clusterDomain": "cluster.local",
            "containerRuntimeEndpoint": f"unix://{_SOCKET}",
            # A machine with a full disk would have its Pods evicted.
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
            "failCgroupV1": False,
            "failSwapOn": False,
            "imageGCHighThresholdPercent": 100,
            "maxOpenFiles": min(files, 1_000_000),
            # Lower than that of its parent takes CAP_SYS_RESOURCE, which root in a container lacks.
            "oomScoreAdj": 0,
            "resolvConf": str(self.state / "resolv.conf"),
            "tlsCertFile": str(server.public),
            "tlsPrivateKeyFile": str(server.key),
        }
        proxy = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(self.pki.kubeconfigs["kube-proxy"])},
            "clusterCIDR": ",".join(self.network.pod_ranges),
            "conntrack": cpu_limit,  # the limit is the machine's: it can't be set in a network namespace
            "hostnameOverride": NAME,
            "iptables": {"minSyncPeriod": "100ms"},
            "mode": "iptables",
            "oomScoreAdj": 0,
        }
        (self.state / "kubelet.json").write_text(json.dumps(kubelet, indent=2))
        (self.state / "kube-proxy.json").write_text(json.dumps(proxy, indent=2))
        (self.state / "containerd.toml").write_text(_containerd(self._write_pod_network()))

    def _write_pod_network(self) -> Path:
        """The bridge that Pods are plugged into; returns the folder of its configuration."""
        bridge = {
            "type": "bridge",
            "bridge": "pods",
            "isGateway": True,
            "hairpinMode": True,
            "mtu": 1400,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": subnet}] for subnet in POD_SUBNETS[: len(self.network.pod_ranges)]],
                "routes": [{"dst": anywhere} for anywhere in ("0.0.0.0/0", "::/0")[: len(self.network.pod_ranges)]],
            },
        }
        ports = {"type": "portmap", "capabilities": {"portMappings": True}}
        folder = self.state / "cni"
        folder.mkdir(exist_ok=True)
        document = {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]}
        (folder / "pods.conflist").write_text(json.dumps(document, indent=2))
        return folder


class _Family:
    """One address family of the pair of interfaces: addresses and routes on both ends."""

    def __init__(self, node: str, host: str, pods: str, services: str) -> None:
        self._node, self._host, self._pods, self._services = node, host, pods, services
        self._six = ":" in node

    def connect(self, on_node: Any) -> None:
        """Give both ends their addresses, and the machine the way to Pods and Services."""
        # Duplicate address detection would keep the address unusable for a second.
        extra = ["nodad"] if self._six else []
        width = "64" if self._six else "24"
        _ip("address", "add", f"{self._host}/{width}", "dev", _HOST_INTERFACE, *extra)
        on_node("ip", "address", "add", f"{self._node}/{width}", "dev", _NODE_INTERFACE, *extra)
        _ip("link", "set", _HOST_INTERFACE, "up")
        on_node("ip", "link", "set", _NODE_INTERFACE, "up")
        for range_ in (self._pods, self._services):
            _ip("route", "add", range_, "via", self._node, "dev", _HOST_INTERFACE)
        # Before kube-proxy's rule rewrites the destination there must be some route to it.
        on_node("ip", "route", "add", self._services, "dev", _NODE_INTERFACE)
        forwarding = "net/ipv6/conf/all/forwarding" if self._six else "net/ipv4/ip_forward"
        on_node("sh", "-c", f"echo 1 > /proc/sys/{forwarding}")


def _ip(*args: str | int) -> None:
    done = subprocess.run(["ip", *map(str, args)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"ip {' '.join(map(str, args))}: {done.stderr.strip()}")


def _containerd(pod_network: Path) -> str:
    """containerd's configuration, for a machine that may lack AppArmor, hugetlb and CAP_SYS_RESOURCE."""
    return f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]

[grpc]
address = "{_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{images.PAUSE}"
restrict_oom_score_adj = true
disable_apparmor = true
disable_hugetlb_controller = true
tolerate_missing_hugetlb_controller = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{machine.CNI_PLUGINS}"
conf_dir = "{pod_network}"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"""

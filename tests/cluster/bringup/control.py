"""The control plane of a cluster without nodes: etcd and kube-apiserver on loopback, the controllers if asked for.

This is all that code needs which watches, writes, admits or signs. Pods can be created; nothing runs them.
"""

import shutil
import signal
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom

from bringup.binaries import Binaries, chosen
from bringup.cluster import Cluster
from bringup.daemons import Daemon
from bringup.errors import Failed
from bringup.pki import Authority, Pair, kubeconfig, signing_pair

ISSUER = "https://kubernetes.default.svc.cluster.local"
API_SERVER_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
)
START_SECONDS = 60.0

# Those whose work is seen in the API alone. Missing on purpose: what deletes Pods because no node runs them.
NODELESS_CONTROLLERS = (
    "deployment-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "replicaset-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "statefulset-controller",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Where a control plane listens, and the addresses that it hands out."""

    address: str = "127.0.0.1"
    api_port: int = 6443
    etcd_port: int = 2379
    etcd_peer_port: int = 2380
    service_ranges: tuple[str, ...] = ("10.96.0.0/16",)
    pod_ranges: tuple[str, ...] = ("10.244.0.0/16",)
    api_service_addresses: tuple[str, ...] = ("10.96.0.1",)

    @classmethod
    def on_loopback(cls) -> "Network":
        """With ports that are free now."""
        api, etcd, peer = free_ports(3)
        return cls(api_port=api, etcd_port=etcd, etcd_peer_port=peer)

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return f"https://{self.address}:{self.api_port}"


def free_ports(count: int) -> list[int]:
    """Loopback ports below the range of outgoing connections (ip(7), ip_local_port_range).

    From that range another process could take a port while the API server is away, or a client that retries could
    even be connected to itself (TCP's simultaneous open).
    """
    ports: list[int] = []
    while len(ports) < count:
        port = SystemRandom().randrange(20000, 30000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        if port not in ports:
            ports.append(port)
    return ports


@dataclass(slots=True)
class Pki:
    """The files of a cluster's trust; `subjects` have a kubeconfig each."""

    folder: Path
    authority: Authority
    front_proxy: Authority
    tokens: Pair
    api_server: Pair
    front_proxy_client: Pair
    kubelet_client: Pair
    kubeconfigs: dict[str, Path] = field(default_factory=dict)
    admin: Pair = field(init=False)

    @classmethod
    def create(cls, folder: Path, network: Network) -> "Pki":
        """All of it, in `folder`."""
        authority = Authority.create(folder, "ca")
        front_proxy = Authority.create(folder, "front-proxy-ca")
        names = dict.fromkeys([*API_SERVER_NAMES, "127.0.0.1", network.address, *network.api_service_addresses])
        pki = cls(
            folder,
            authority,
            front_proxy,
            tokens=signing_pair(folder, "sa"),
            api_server=authority.server("apiserver", list(names), subject="kube-apiserver"),
            front_proxy_client=front_proxy.client("front-proxy-client", "front-proxy-client"),
            kubelet_client=authority.client("apiserver-kubelet-client", "kube-apiserver", "system:masters"),
        )
        pki.admin = pki.subject(network, "admin", "admin", "system:masters")
        pki.subject(network, "controller-manager", "system:kube-controller-manager")
        return pki

    def subject(self, network: Network, name: str, user: str, group: str = "") -> Pair:
        """A client certificate for `user`, and a kubeconfig with it."""
        pair = self.authority.client(name, user, group)
        self.kubeconfigs[name] = kubeconfig(
            self.folder / f"{name}.kubeconfig", network.server, self.authority.files, pair
        )
        return pair


class ControlPlane(Cluster):
    """etcd, kube-apiserver and kube-controller-manager, with all their state below one folder."""

    def __init__(
        self,
        state: Path,
        *,
        binaries: Binaries | None = None,
        network: Network | None = None,
        controllers: Sequence[str] = (),
        api_server_flags: Sequence[str] = (),
        prefix: Sequence[str | Path] = (),
    ) -> None:
        """`controllers` names those to run; `prefix` is a command that enters the namespaces of a node."""
        binaries = binaries or chosen()
        self.state = state.absolute()
        self.network = network or Network.on_loopback()
        self.pki = Pki.create(self.state / "pki", self.network)
        super().__init__(self.pki.kubeconfigs["admin"], self.state / "clients", binaries)
        self._prefix = prefix
        self._etcd = self.daemon("etcd", self._etcd_flags())
        self._api_server = self.daemon("kube-apiserver", [*self._api_server_flags(controllers), *api_server_flags])
        self._controllers = self.daemon("kube-controller-manager", self._controller_flags(controllers))
        self._has_controllers = bool(controllers)

    def daemon(self, program: str, flags: Sequence[str | Path]) -> Daemon:
        """A process of this cluster, not yet started; it logs to `log/PROGRAM.log` in the state's folder."""
        command = [self.binaries.find(program), *flags]
        return Daemon(command, self.state / f"log/{program}.log", prefix=self._prefix, forks=bool(self._prefix))

    def start(self) -> None:
        """Start all parts; returns when the API server is ready. What it had started is stopped if one fails."""
        try:
            self._etcd.start()
            self.start_api_server()
            if self._has_controllers:
                self._controllers.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all parts and drop the data. The rest of the state's folder stays, for its logs."""
        for daemon in (self._controllers, self._api_server, self._etcd):
            daemon.stop(signal.SIGKILL)
        shutil.rmtree(self.state / "etcd", ignore_errors=True)

    def stop_api_server(self) -> None:
        """Take the API server away as a crash would; etcd and the controllers stay."""
        self._api_server.stop(signal.SIGKILL)

    def start_api_server(self) -> None:
        """Start the API server, at the same address as before; returns when it is ready."""
        self._api_server.start()
        self._api_server.wait_until(self._ready, START_SECONDS)

    def check(self) -> None:
        """Raise `Failed` if a part that should run has ended."""
        for part in self._parts():
            if not part.running:
                raise Failed(f"{part.name} has ended:\n{part.tail()}")

    def _parts(self) -> list[Daemon]:
        return [self._etcd, self._api_server, *([self._controllers] if self._has_controllers else [])]

    def _ready(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.pki.authority.files.public))
        context.load_cert_chain(self.pki.admin.public, self.pki.admin.key)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(f"{self.network.server}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _etcd_flags(self) -> list[str]:
        client, peer = (f"http://127.0.0.1:{port}" for port in (self.network.etcd_port, self.network.etcd_peer_port))
        return [
            f"--data-dir={self.state / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--log-level=warn",
            "--unsafe-no-fsync",  # nothing here has to survive the machine
        ]

    def _api_server_flags(self, controllers: Sequence[str]) -> list[str]:
        pki, network = self.pki, self.network
        flags = [
            f"--etcd-servers=http://127.0.0.1:{network.etcd_port}",
            f"--secure-port={network.api_port}",
            f"--service-cluster-ip-range={','.join(network.service_ranges)}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            f"--client-ca-file={pki.authority.files.public}",
            f"--tls-cert-file={pki.api_server.public}",
            f"--tls-private-key-file={pki.api_server.key}",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={pki.tokens.public}",
            f"--service-account-signing-key-file={pki.tokens.key}",
            f"--kubelet-client-certificate={pki.kubelet_client.public}",
            f"--kubelet-client-key={pki.kubelet_client.key}",
            f"--kubelet-certificate-authority={pki.authority.files.public}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--requestheader-client-ca-file={pki.front_proxy.files.public}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={pki.front_proxy_client.public}",
            f"--proxy-client-key-file={pki.front_proxy_client.key}",
        ]
        if network.address == "127.0.0.1":
            # Endpoints may not be loopback addresses, so the kubernetes Service can have none.
            flags += ["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"]
        else:
            flags += ["--bind-address=::", f"--advertise-address={network.address}"]
        if not controllers:
            # No controller makes the accounts that this plugin wants to find before it lets a Pod in.
            flags.append("--disable-admission-plugins=ServiceAccount")
        return flags

    def _controller_flags(self, controllers: Sequence[str]) -> list[str]:
        login, authority = self.pki.kubeconfigs["controller-manager"], self.pki.authority.files
        return [
            f"--kubeconfig={login}",
            f"--authentication-kubeconfig={login}",
            f"--authorization-kubeconfig={login}",
            f"--controllers={','.join(controllers)}",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={self.pki.tokens.key}",
            f"--root-ca-file={authority.public}",
            f"--cluster-signing-cert-file={authority.public}",
            f"--cluster-signing-key-file={authority.key}",
            f"--cluster-cidr={','.join(self.network.pod_ranges)}",
            f"--service-cluster-ip-range={','.join(self.network.service_ranges)}",
            "--leader-elect=false",
            # Tests take the API server away for a while: no reason to think that nodes have died.
            "--node-monitor-grace-period=10m",
        ]

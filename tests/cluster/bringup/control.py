"""The control plane of a cluster without nodes: etcd and kube-apiserver on loopback, the controllers if asked for.

This is all that code needs which watches, writes, admits or signs. Pods can be created; nothing runs them.
"""

import shutil
import signal
import ssl
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from bringup import flags
from bringup.binaries import Binaries, chosen
from bringup.cluster import Cluster, CommandFailed
from bringup.daemons import Daemon
from bringup.errors import Failed
from bringup.network import Network
from bringup.trust import Trust

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
        self.state = state.absolute()
        self.network = network or Network.on_loopback()
        self.trust = Trust(self.state / "pki", self.network)
        super().__init__(self.trust.admin, self.state / "clients", binaries or chosen())
        self._prefix = prefix
        login = self.trust.login("controller-manager", "system:kube-controller-manager")
        api_server = flags.kube_apiserver(self.network, self.trust, has_controllers=bool(controllers))
        self._etcd = self.daemon("etcd", flags.etcd(self.network, self.state / "etcd"))
        self._api_server = self.daemon("kube-apiserver", [*api_server, *api_server_flags])
        self._controllers = self.daemon(
            "kube-controller-manager", flags.kube_controller_manager(self.network, self.trust, login, controllers)
        )
        self._has_controllers = bool(controllers)
        self._makes_accounts = not {"*", "serviceaccount-controller"}.isdisjoint(controllers)

    def daemon(self, program: str, arguments: Sequence[str | Path]) -> Daemon:
        """A process of this cluster, not yet started; it logs to `log/PROGRAM.log` in the state's folder."""
        command = [self.binaries.find(program), *arguments]
        return Daemon(command, self.state / f"log/{program}.log", prefix=self._prefix, forks=bool(self._prefix))

    def start(self) -> None:
        """Start all parts; returns when they are at work. What it had started is stopped if one fails."""
        try:
            self._etcd.start()
            self.start_api_server()
            if self._has_controllers:
                self._controllers.start()
                self._controllers.wait_until(self._accounts_are_made, START_SECONDS)
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

    def _accounts_are_made(self) -> bool:
        """The first thing that controllers do for people: a namespace's account, which Pods need."""
        if not self._makes_accounts:
            return True
        try:
            self.kubectl("get", "serviceaccount", "default", "--namespace=default")
        except CommandFailed:
            return False
        return True

    def _ready(self) -> bool:
        trusted = ssl.create_default_context(cafile=str(self.trust.authority.public))
        https = urllib.request.HTTPSHandler(context=trusted)
        # No proxy, whatever the environment says: the address is this machine's.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), https)
        try:
            with opener.open(f"{self.network.server}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:  # URLError among them
            return False

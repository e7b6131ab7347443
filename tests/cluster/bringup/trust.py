"""Which keys and certificates a cluster has, and who logs in with them."""

from pathlib import Path

from bringup.network import Network
from bringup.pki import Authority, Pair, kubeconfig, signing_pair


class Trust:
    """The files of a cluster's trust, all in one folder; made anew with it."""

    def __init__(self, folder: Path, network: Network) -> None:
        """Makes what every control plane needs; `login` and `kubelet_server` add what a node needs."""
        self._folder = folder
        self._server = network.server
        self._authority = Authority.create(folder, "ca")
        front_proxy = Authority.create(folder, "front-proxy-ca")
        self.authority = self._authority.files
        self.front_proxy = front_proxy.files
        self.front_proxy_client = front_proxy.client("front-proxy-client", "front-proxy-client")
        self.tokens = signing_pair(folder, "sa")
        self.api_server = self._authority.server("apiserver", network.addresses(), subject="kube-apiserver")
        self.kubelet_client = self._authority.client("apiserver-kubelet-client", "kube-apiserver", "system:masters")
        self.admin = self.login("admin", "admin", "system:masters")

    def login(self, name: str, user: str, group: str = "") -> Path:
        """A kubeconfig with a new certificate for `user`."""
        client = self._authority.client(name, user, group)
        return kubeconfig(self._folder / f"{name}.kubeconfig", self._server, self.authority, client)

    def kubelet_server(self, node: str, addresses: list[str]) -> Pair:
        """What the kubelet shows to the API server, which calls it for logs and exec."""
        names = [node, *addresses]
        return self._authority.server("kubelet-server", names, subject=f"system:node:{node}", group="system:nodes")

"""Command lines of the control plane's parts. Each function gives the flags of the program that it is named after."""

from collections.abc import Sequence
from pathlib import Path

from bringup.network import LOOPBACK, Network
from bringup.trust import Trust

ISSUER = "https://kubernetes.default.svc.cluster.local"


def etcd(network: Network, data: Path) -> list[str]:
    """One member, without TLS on loopback."""
    client, peer = (f"http://{LOOPBACK}:{port}" for port in (network.etcd_port, network.etcd_peer_port))
    return [
        f"--data-dir={data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--log-level=warn",
        "--unsafe-no-fsync",  # nothing here has to survive the machine
    ]


def kube_apiserver(network: Network, trust: Trust, *, has_controllers: bool) -> list[str]:
    """RBAC, node restriction and aggregation as in clusters that people run."""
    flags = [
        f"--etcd-servers=http://{LOOPBACK}:{network.etcd_port}",
        f"--secure-port={network.api_port}",
        f"--service-cluster-ip-range={network.services()}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--client-ca-file={trust.authority.public}",
        f"--tls-cert-file={trust.api_server.public}",
        f"--tls-private-key-file={trust.api_server.key}",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={trust.tokens.public}",
        f"--service-account-signing-key-file={trust.tokens.key}",
        f"--kubelet-client-certificate={trust.kubelet_client.public}",
        f"--kubelet-client-key={trust.kubelet_client.key}",
        f"--kubelet-certificate-authority={trust.authority.public}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={trust.front_proxy.public}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={trust.front_proxy_client.public}",
        f"--proxy-client-key-file={trust.front_proxy_client.key}",
        f"--advertise-address={network.address}",
    ]
    if network.address == LOOPBACK:
        # Endpoints may not be loopback addresses, so the Service `kubernetes` can have none.
        flags += [f"--bind-address={LOOPBACK}", "--endpoint-reconciler-type=none"]
    if not has_controllers:
        # No controller makes the accounts that this plugin wants to find before it lets a Pod in.
        flags.append("--disable-admission-plugins=ServiceAccount")
    return flags


def kube_controller_manager(network: Network, trust: Trust, login: Path, controllers: Sequence[str]) -> list[str]:
    """The named controllers; `*` is all of them."""
    return [
        *_login(login),
        f"--controllers={','.join(controllers)}",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={trust.tokens.key}",
        f"--root-ca-file={trust.authority.public}",
        f"--cluster-signing-cert-file={trust.authority.public}",
        f"--cluster-signing-key-file={trust.authority.key}",
        "--allocate-node-cidrs",
        f"--cluster-cidr={network.pods()}",
        f"--service-cluster-ip-range={network.services()}",
        "--secure-port=0",  # several control planes may run at once, and nobody asks this one
        # Tests take the API server away for a while: no reason to think that nodes have died.
        "--node-monitor-grace-period=10m",
    ]


def kube_scheduler(login: Path) -> list[str]:
    """Its defaults."""
    return _login(login)


def kubelet(network: Network, name: str, configuration: Path, login: Path) -> list[str]:
    """What is not in its configuration file."""
    return [
        f"--config={configuration}",
        f"--kubeconfig={login}",
        f"--hostname-override={name}",
        f"--node-ip={','.join(family.node for family in network.families)}",
    ]


def _login(login: Path) -> list[str]:
    options = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return [*(f"--{option}={login}" for option in options), "--leader-elect=false"]

"""Configuration files of the node's parts, for a machine that may lack what a server has.

Root in a container often has no CAP_SYS_RESOURCE (which a lower OOM score or a higher limit of open files takes), no
AppArmor, no systemd, and some control groups only.
"""

import resource
from pathlib import Path
from typing import Any

from bringup.footprint import CGROUP
from bringup.images import PAUSE
from bringup.machine import CNI_PLUGINS
from bringup.network import DNS_ADDRESS, Network
from bringup.pki import Pair

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"


def kubelet(authority: Pair, server: Pair, resolver: Path) -> dict[str, Any]:
    """KubeletConfiguration; `resolver` is the resolv.conf of Pods that don't use the cluster's DNS."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": str(authority.public)}},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        # On a machine with a full disk all Pods would be evicted.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "maxOpenFiles": min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 1_000_000),
        "oomScoreAdj": 0,
        "resolvConf": str(resolver),
        "tlsCertFile": str(server.public),
        "tlsPrivateKeyFile": str(server.key),
    }


def kube_proxy(network: Network, name: str, login: Path) -> dict[str, Any]:
    """KubeProxyConfiguration."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(login)},
        "clusterCIDR": network.pods(),
        "conntrack": {"maxPerCore": 0, "min": 0},  # the limit is the machine's, out of reach in a namespace
        "hostnameOverride": name,
        "iptables": {"minSyncPeriod": "100ms"},
        "mode": "iptables",
        "oomScoreAdj": 0,
    }


def pod_network(network: Network) -> dict[str, Any]:
    """A CNI list: the bridge that Pods are plugged into, and ports of the node that lead to them."""
    bridge = {
        "type": "bridge",
        "bridge": "pods",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": family.subnet}] for family in network.families],
            "routes": [{"dst": family.anywhere} for family in network.families],
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]}


def containerd(pod_networks: Path) -> str:
    """Its TOML; `pod_networks` is the folder with the CNI list."""
    return f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = true
disable_apparmor = true
disable_hugetlb_controller = true
tolerate_missing_hugetlb_controller = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI_PLUGINS}"
conf_dir = "{pod_networks}"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"""

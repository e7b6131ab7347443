"""The end, and so the last test: what `helm uninstall` leaves behind."""

import json
from typing import Any

from bringup import Cluster
from shop import SYSTEM, Shop, eventually


def objects(cluster: Cluster, kinds: str) -> list[dict[str, Any]]:
    """All objects of these kinds in the cluster."""
    found: list[dict[str, Any]] = json.loads(cluster.kubectl("get", kinds, "-A", "-o", "json"))["items"]
    return found


def test_uninstalling_leaves_no_webhook_no_finalizer_and_no_secret(running: Shop, node: Cluster) -> None:
    node.helm("uninstall", "weft", "-n", SYSTEM, "--wait")

    def nothing_is_left() -> None:
        assert objects(node, "mutatingwebhookconfigurations,validatingwebhookconfigurations") == []
        assert objects(node, "secrets") == []
        assert [c for c in objects(node, "configmaps") if "weft" in c["metadata"]["name"]] == []
        assert [c for c in objects(node, "leases") if "weft" in c["metadata"]["name"]] == []
        assert [c for c in objects(node, "clusterroles,clusterrolebindings") if "weft" in c["metadata"]["name"]] == []

    eventually(nothing_is_left, 60)
    rules = "virtualservices,destinationrules,gateways.networking.istio.io,pods"
    assert [o for o in objects(node, rules) if o["metadata"].get("finalizers")] == []
    node.kubectl("delete", "namespace", SYSTEM, running.namespace, "--timeout=120s")

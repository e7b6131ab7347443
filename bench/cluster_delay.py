"""How long after `kubectl apply` the traffic is another: on a real node, from kubectl's start to the first answer.

    PYTHONPATH=.:tests/cluster python -m bench.cluster_delay [--changes 60]

A VirtualService of the bookshop's gateway sets a response header, a new value at each change; the page is asked for
every few milliseconds until it has it. kubectl's own time is shown beside: it is what no mesh can save.
"""

import argparse
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from bringup.node import Node
from shop import NAMESPACE, ROOT, Shop, ask, install

RULE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: bookshop, namespace: shop}}
spec:
  hosts: ["*"]
  gateways: [bookshop]
  http:
  - headers: {{response: {{set: {{x-turn: "{0}"}}}}}}
    route: [{{destination: {{host: productpage, port: {{number: 9080}}}}}}]
"""


def main() -> None:
    """Bring up, change, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=60)
    changes = parser.parse_args().changes
    with tempfile.TemporaryDirectory() as state:
        node = Node(Path(state))
        node.start()
        try:
            shop = _bookshop(node)
            measured = [_change(shop, turn) for turn in range(changes)]
        finally:
            node.stop()
    delays = sorted(delay for delay, _ in measured)
    print(f"kubectl apply to effect, {changes} changes: {_figures(delays)}")
    print(f"of which kubectl itself:                  {_figures(sorted(own for _, own in measured))}")


def _bookshop(node: Node) -> Shop:
    install(node)
    shop = Shop(node)
    node.kubectl("create", "namespace", NAMESPACE)
    node.kubectl("label", "namespace", NAMESPACE, "weft.dev/injection=enabled")
    shop.kubectl("apply", "-f", ROOT / "examples/bookshop/kubernetes")
    shop.ready()
    return shop


def _change(shop: Shop, turn: int) -> tuple[float, float]:
    """Seconds from kubectl's start to the effect, and to kubectl's end."""
    gateway = shop.address("bookshop-gateway")
    begin = time.perf_counter()
    command = [str(shop.cluster.binaries.find("kubectl")), "apply", "-f", "-"]
    kubectl = subprocess.Popen(
        command, env=shop.cluster.env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert kubectl.stdin is not None
    kubectl.stdin.write(RULE.format(turn))
    kubectl.stdin.close()
    ended = effect = 0.0
    while not (effect and ended):
        if not effect and ask(gateway, "/productpage").headers.get("x-turn") == str(turn):
            effect = time.perf_counter() - begin
        if not ended and kubectl.poll() is not None:
            ended = time.perf_counter() - begin
        if time.perf_counter() - begin > 30:
            raise SystemExit(f"change {turn} has no effect")
        time.sleep(0.005)
    time.sleep(0.3)
    return effect, ended


def _figures(seconds: list[float]) -> str:
    p99 = seconds[min(len(seconds) - 1, round(0.99 * len(seconds)))]
    return (
        f"median {statistics.median(seconds) * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, worst {seconds[-1] * 1000:.0f} ms"
    )


if __name__ == "__main__":
    main()

"""In which IP families a gateway listens: those of its pod's addresses, but where a server is told one."""

from typing import TYPE_CHECKING

import pytest

from weft_core.ir.listener import Listener
from weft_core.model import kubernetes as k8s

if TYPE_CHECKING:
    from tests.unit.gateways.conftest import Edge

SERVERS = """
- {port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}
- {port: {number: 8081, name: bound, protocol: HTTP}, bind: 10.1.0.1, hosts: ["*"]}
"""


def hosts(listener: Listener) -> list[str]:
    return [address.host for address in listener.addresses]


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ((), ["0.0.0.0"]),
        (("10.1.0.1",), ["0.0.0.0"]),
        (("fd00::1",), ["::"]),
        (("fd00::1", "10.1.0.1"), ["0.0.0.0", "::"]),
    ],
)
def test_a_gateway_listens_in_all_families_of_its_pod(
    edge: "Edge", addresses: tuple[str, ...], expected: list[str]
) -> None:
    status = {"podIPs": [{"ip": address} for address in addresses]}
    edge.put("pods", "gateway-1", "edge", k8s.Pod, labels={"istio": "edge"}, status=status)
    edge.gateway(SERVERS)
    found = edge.listeners()
    assert hosts(found[f"{expected[0]}_8080"]) == expected
    assert hosts(found["10.1.0.1_8081"]) == ["10.1.0.1"]

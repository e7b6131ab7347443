"""What `weft drain` reads out of Envoy's statistics; the hooks themselves run against a real Envoy in tests/envoy."""

import pytest

from weft_cli.drain import main, served

SIDECAR = """\
listener.0.0.0.0_15006.downstream_cx_active: 7
listener.0.0.0.0_15006.worker_0.downstream_cx_active: 7
listener.0.0.0.0_15001.downstream_cx_active: 9
listener.10.1.2.3_15020.downstream_cx_active: 1
listener.0.0.0.0_15021.downstream_cx_active: 1
listener.admin.downstream_cx_active: 1
listener.admin.main_thread.downstream_cx_active: 1
http.admin.downstream_cx_active: 1
http.admin.downstream_rq_active: 1
http.inbound_0.0.0.0_9080;.downstream_cx_active: 5
http.inbound_0.0.0.0_9080;.downstream_rq_active: 2
http.outbound_0.0.0.0_80;.downstream_cx_active: 3
http.outbound_0.0.0.0_80;.downstream_rq_active: 3
"""
GATEWAY = """\
listener.[__]_8443.downstream_cx_active: 4
listener.[__]_8443.worker_0.downstream_cx_active: 4
listener.10.1.2.3_15090.downstream_cx_active: 2
http.outbound_https.8443;.downstream_cx_active: 3
http.outbound_https.8443;.downstream_rq_active: 1
http.stats.downstream_rq_active: 1
"""


def test_inbound_requests_and_connections_that_are_not_http_are_counted() -> None:
    assert served(SIDECAR, everything=False) == 2 + (7 - 5)


def test_a_gateway_counts_all_but_its_own_ports() -> None:
    assert served(GATEWAY, everything=True) == 1 + (4 - 3)


def test_idle_connections_count_for_nothing() -> None:
    idle = "listener.0.0.0.0_15006.downstream_cx_active: 3\nhttp.inbound_a;.downstream_cx_active: 3\n"
    assert served(idle, everything=False) == 0
    assert served("", everything=False) == 0


@pytest.mark.parametrize("arguments", [["drain", "--minimum=-1"], ["wait", "--timeout=nan"], ["drain", "--maximum=x"]])
def test_times_must_be_times(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)

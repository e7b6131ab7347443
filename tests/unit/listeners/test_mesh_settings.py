"""Mesh-wide settings of listeners: access logs, paths, readiness."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from weft_core.ir.cluster import Cluster
from weft_core.ir.http import PathNormalization, Readiness
from weft_core.ir.load_assignment import Endpoint
from weft_core.proxy import LocalPorts, ProxyId
from weft_core.registry import Registry
from weft_core.view.access_log import JSON_FORMAT, TEXT_FORMAT, access_logs, listener_access_logs
from weft_core.view.http_managers import path_normalization
from weft_core.view.inbound import inbound_id
from weft_core.view.inbound_clusters import inbound_clusters
from weft_core.view.inbound_listener import inbound_listener
from weft_core.view.outbound_listener import outbound_listener
from weft_core.view.outbound_listeners import PortListenerId, outbound_listener_ids
from weft_core.view.proxies import client_of
from weft_core.view.readiness import readiness_listener, readiness_listener_of

Make = Callable[..., Registry]


def test_no_file_no_access_log(registry: Make) -> None:
    assert access_logs(registry()) == ()


def test_the_default_formats(registry: Make) -> None:
    (text,) = access_logs(registry(settings="accessLogFile: /dev/stdout"))
    assert (text.path, text.format) == ("/dev/stdout", TEXT_FORMAT)
    (json,) = access_logs(registry(settings="{accessLogFile: /dev/stdout, accessLogEncoding: JSON}"))
    assert json.format == JSON_FORMAT
    assert dict(JSON_FORMAT)["method"] == "%REQ(:METHOD)%"
    assert dict(JSON_FORMAT)["start_time"] == "%START_TIME%"


def test_a_text_format_ends_its_line(registry: Make) -> None:
    (log,) = access_logs(registry(settings='{accessLogFile: a, accessLogFormat: "%PROTOCOL%"}'))
    assert log.format == "%PROTOCOL%\n"


def test_a_json_format(registry: Make) -> None:
    settings = '{accessLogFile: a, accessLogEncoding: JSON, accessLogFormat: \'{"b": "%PROTOCOL%", "a": 1}\'}'
    (log,) = access_logs(registry(settings=settings))
    assert log.format == (("a", "1"), ("b", "%PROTOCOL%"))


def test_a_broken_json_format_does_not_lose_the_log(registry: Make) -> None:
    (log,) = access_logs(registry(settings="{accessLogFile: a, accessLogEncoding: JSON, accessLogFormat: nonsense}"))
    assert log.format == JSON_FORMAT


def test_listeners_log_what_no_chain_took(registry: Make) -> None:
    (log,) = listener_access_logs(registry(settings="accessLogFile: a"))
    assert log.response_flags == ("NR",)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("", PathNormalization.BASE),
        ("pathNormalization: {normalization: DEFAULT}", PathNormalization.BASE),
        ("pathNormalization: {normalization: NONE}", PathNormalization.NONE),
        ("pathNormalization: {normalization: MERGE_SLASHES}", PathNormalization.MERGE_SLASHES),
        (
            "pathNormalization: {normalization: DECODE_AND_MERGE_SLASHES}",
            PathNormalization.DECODE_AND_MERGE_SLASHES,
        ),
    ],
)
def test_path_normalization(registry: Make, setting: str, expected: PathNormalization) -> None:
    assert path_normalization(registry(settings=setting)) is expected


def test_readiness_is_asked_from_outside_a_pod_and_from_inside_a_machine() -> None:
    pod = readiness_listener()
    assert [(a.host, a.port) for a in pod.addresses] == [("0.0.0.0", 15021)]
    assert Readiness("/healthz/ready") in pod.filter_chains[0].filters[0].filters  # type: ignore[union-attr]
    local = readiness_listener_of(LocalPorts(readiness=20004))
    assert [(a.host, a.port) for a in local.addresses] == [("127.0.0.1", 20004)]
    assert readiness_listener_of(None) == pod


@pytest.mark.parametrize(
    ("settings", "seconds"), [("", 5), ("protocolDetectionTimeout: 100ms", 0.1), ("protocolDetectionTimeout: 0s", 0)]
)
def test_detection_waits_as_long_as_the_mesh_says(
    registry: Make, shop: str, web: ProxyId, settings: str, seconds: float
) -> None:
    db = registry(shop, settings=settings)
    inbound, client = inbound_id(db, web), client_of(db, web)
    assert inbound is not None
    assert client is not None
    ports = [key for key in outbound_listener_ids(db, client) if isinstance(key, PortListenerId)]
    listeners = [inbound_listener(db, inbound), *(outbound_listener(db, key) for key in ports)]
    assert {listener.detection_timeout for listener in listeners} == {timedelta(seconds=seconds)}


def test_workloads_may_be_called_on_loopback(registry: Make, shop: str, web: ProxyId) -> None:
    def addresses(settings: str) -> set[tuple[str, int] | None]:
        db = registry(shop, settings=settings)
        inbound = inbound_id(db, web)
        assert inbound is not None
        own = [cluster for cluster in inbound_clusters(db, inbound) if cluster.services]
        return {(endpoint.address, endpoint.port) if (endpoint := _only_endpoint(cluster)) else None for cluster in own}

    assert addresses("") == {None}
    loopback = {("127.0.0.1", 8080), ("127.0.0.1", 5432), ("127.0.0.1", 9000)}
    assert addresses("inboundTrafficPolicy: {mode: LOCALHOST}") == loopback


def _only_endpoint(cluster: Cluster) -> Endpoint | None:
    return cluster.load_assignment.localities[0].endpoints[0] if cluster.load_assignment else None

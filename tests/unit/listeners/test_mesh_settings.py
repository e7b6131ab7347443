"""Mesh-wide settings of listeners: access logs, paths, readiness."""

from collections.abc import Callable

import pytest

from weft_core.ir.http import PathNormalization, Readiness
from weft_core.proxy import LocalPorts
from weft_core.registry import Registry
from weft_core.view.access_log import JSON_FORMAT, TEXT_FORMAT, access_logs, listener_access_logs
from weft_core.view.http_managers import path_normalization
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

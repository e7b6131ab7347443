"""Capture settings as flags of `weft redirect`, and back: what the injected init container is told.

The names are near those of `istio-iptables`. `*` stands for everything, an empty list for nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from weft_core.names import INBOUND_PORT, OUTBOUND_PORT
from weft_injector.capture.settings import (
    PROXY_GID,
    PROXY_UID,
    CaptureSettings,
    check_interface,
    parse_network,
    parse_port,
)

ALL: Final = "*"

_T = TypeVar("_T")


class FlagError(ValueError):
    """A flag has a value that it can't have. The text says which value and why."""

    def __init__(self, flag: str, message: str) -> None:
        super().__init__(message)
        self.flag = flag
        """`--inbound-ports`, for example."""


def settings_of(
    *,
    inbound_ports: str = ALL,
    exclude_inbound_ports: str = "",
    outbound_cidrs: str = ALL,
    exclude_outbound_cidrs: str = "",
    include_outbound_ports: str = "",
    exclude_outbound_ports: str = "",
    exclude_interfaces: str = "",
    reroute_interfaces: str = "",
    envoy_port: int = OUTBOUND_PORT,
    inbound_capture_port: int = INBOUND_PORT,
    proxy_uid: int = PROXY_UID,
    proxy_gid: int = PROXY_GID,
) -> CaptureSettings:
    """The settings that flags ask for; each parameter is the flag of that name. Raises FlagError."""
    included = _all_or("--inbound-ports", inbound_ports, parse_port)
    return CaptureSettings(
        outbound_port=_checked("--envoy-port", str(envoy_port), parse_port),
        inbound_port=_checked("--inbound-capture-port", str(inbound_capture_port), parse_port),
        proxy_uid=proxy_uid,
        proxy_gid=proxy_gid,
        include_outbound_cidrs=_all_or("--outbound-cidrs", outbound_cidrs, parse_network),
        exclude_outbound_cidrs=_items("--exclude-outbound-cidrs", exclude_outbound_cidrs, parse_network),
        include_outbound_ports=frozenset(_items("--include-outbound-ports", include_outbound_ports, parse_port)),
        exclude_outbound_ports=frozenset(_items("--exclude-outbound-ports", exclude_outbound_ports, parse_port)),
        include_inbound_ports=None if included is None else frozenset(included),
        exclude_inbound_ports=frozenset(_items("--exclude-inbound-ports", exclude_inbound_ports, parse_port)),
        exclude_interfaces=frozenset(_items("--exclude-interfaces", exclude_interfaces, check_interface)),
        reroute_interfaces=frozenset(_items("--reroute-interfaces", reroute_interfaces, check_interface)),
    )


def flags_of(settings: CaptureSettings) -> tuple[str, ...]:
    """The flags that say what differs from the defaults, one `--name=value` each; equal settings give equal flags."""
    values = {
        "envoy-port": str(settings.outbound_port),
        "inbound-capture-port": str(settings.inbound_port),
        "proxy-uid": str(settings.proxy_uid),
        "proxy-gid": str(settings.proxy_gid),
        "inbound-ports": _text_or_all(settings.include_inbound_ports),
        "exclude-inbound-ports": _text(settings.exclude_inbound_ports),
        "outbound-cidrs": ALL if (cidrs := settings.include_outbound_cidrs) is None else ",".join(map(str, cidrs)),
        "exclude-outbound-cidrs": ",".join(map(str, settings.exclude_outbound_cidrs)),
        "include-outbound-ports": _text(settings.include_outbound_ports),
        "exclude-outbound-ports": _text(settings.exclude_outbound_ports),
        "exclude-interfaces": ",".join(sorted(settings.exclude_interfaces)),
        "reroute-interfaces": ",".join(sorted(settings.reroute_interfaces)),
    }
    return tuple(f"--{name}={value}" for name, value in values.items() if value != _DEFAULTS[name])


def _text(ports: Iterable[int]) -> str:
    return ",".join(map(str, sorted(ports)))


def _text_or_all(ports: Iterable[int] | None) -> str:
    return ALL if ports is None else _text(ports)


_DEFAULTS: Final = {
    "envoy-port": str(OUTBOUND_PORT),
    "inbound-capture-port": str(INBOUND_PORT),
    "proxy-uid": str(PROXY_UID),
    "proxy-gid": str(PROXY_GID),
    "inbound-ports": ALL,
    "exclude-inbound-ports": "",
    "outbound-cidrs": ALL,
    "exclude-outbound-cidrs": "",
    "include-outbound-ports": "",
    "exclude-outbound-ports": "",
    "exclude-interfaces": "",
    "reroute-interfaces": "",
}


def _all_or(flag: str, text: str, read: Callable[[str], _T]) -> tuple[_T, ...] | None:
    return None if text.strip() == ALL else _items(flag, text, read)


def _items(flag: str, text: str, read: Callable[[str], _T]) -> tuple[_T, ...]:
    return tuple(_checked(flag, item, read) for item in _split(text))


def _split(text: str) -> Iterator[str]:
    return (item for part in text.split(",") if (item := part.strip()))


def _checked(flag: str, text: str, read: Callable[[str], _T]) -> _T:
    try:
        return read(text)
    except ValueError as error:
        hint = f'; "{ALL}" stands alone, for all' if text == ALL else ""
        raise FlagError(flag, f"{error}{hint}") from None

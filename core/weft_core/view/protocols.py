"""Which protocol a port speaks: appProtocol, else the port's name, else a known server-first port, else detection."""

from collections.abc import Mapping
from typing import Final

from weft_core.ir.service import Protocol

_APP_PROTOCOLS: Final[Mapping[str, Protocol]] = {
    "kubernetes.io/h2c": Protocol.HTTP2,
    "kubernetes.io/ws": Protocol.HTTP,
    "kubernetes.io/wss": Protocol.HTTPS,
}
_OTHER_NAMES: Final[Mapping[str, Protocol]] = {"http_proxy": Protocol.HTTP}
"""What ServiceEntries may write besides: requests to an HTTP proxy are HTTP."""
_SERVER_FIRST: Final = frozenset({25, 53, 3306, 27017})
"""SMTP, DNS, MySQL, MongoDB: the server speaks first, so there is nothing to detect from."""
_BY_NAME: Final[Mapping[str, Protocol]] = {p.value.lower(): p for p in Protocol if p is not Protocol.AUTO}


def named_protocol(word: str) -> Protocol | None:
    """The protocol that a ServiceEntry, Gateway or appProtocol names, in any case; None for an unknown word."""
    word = word.lower()
    return _APP_PROTOCOLS.get(word) or _OTHER_NAMES.get(word) or _BY_NAME.get(word)


def entry_protocol(word: str) -> Protocol:
    """The protocol of a ServiceEntry's or Sidecar's port: by its word alone, detected where there is none."""
    return (named_protocol(word) or Protocol.TCP) if word else Protocol.AUTO


def port_protocol(*, number: int, name: str, app_protocol: str = "", transport: str = "TCP") -> Protocol:
    """The protocol of a Service's port (Istio's order of precedence)."""
    if transport.upper() == "UDP":
        return Protocol.UDP
    if app_protocol and (protocol := named_protocol(app_protocol)):
        return protocol
    if name.lower().startswith("grpc-web"):
        return Protocol.GRPC_WEB
    prefix = name.lower().partition("-")[0]
    if prefix and (protocol := _BY_NAME.get(prefix)):
        return protocol
    return Protocol.TCP if number in _SERVER_FIRST else Protocol.AUTO

"""`weft wait` and `weft drain`: the hooks of a proxy's container when its pod starts and ends. Standard library only.

Draining tells clients to go elsewhere (`connection: close` over HTTP/1, GOAWAY over HTTP/2), while new connections are
still taken: until the pod's end is known everywhere, somebody opens one. A plain sidecar is told to end together with
its application, so it then stays while somebody is being served. Idle connections keep nobody: a client may hold one
open forever.
"""

import argparse
import contextlib
import re
import socket
import sys
import time
from collections.abc import Sequence

_HOST = "127.0.0.1"
_HOSTS = (_HOST, "::1")
"""Where the proxy says that it is ready: by the IP version of its pod."""
_TIMEOUT = 2.0
_POLL = 0.1
_ADMIN_PORT = 15000
_READINESS_PORT = 15021
_READINESS_PATH = "/healthz/ready"
_INBOUND_PORT = 15006
_OWN_PORTS = frozenset({_ADMIN_PORT, 15020, _READINESS_PORT, 15090})
_STATS = "/stats?usedonly&filter=%5E(listener%5C..*downstream_cx_active%7Chttp%5C..*downstream_(cx%7Crq)_active)%24"
r"""`^(listener\..*downstream_cx_active|http\..*downstream_(cx|rq)_active)$`"""
_LISTENER = re.compile(r"listener\.[^:]*[\d\]]_(\d+)\.downstream_cx_active: (\d+)")
_HTTP = re.compile(r"http\.((?:in|out)bound_.*)\.downstream_(cx|rq)_active: (\d+)")


def main(arguments: Sequence[str]) -> int:
    """Run `drain` or `wait`, the first of the arguments; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "wait":
            return wait(timeout=options.timeout, port=options.port)
        return drain(everything=options.all, minimum=options.minimum, maximum=options.maximum, admin_port=options.port)
    except OSError as error:
        sys.stderr.write(f"weft {options.command}: the proxy does not answer: {error}\n")
        return 1


def wait(*, timeout: float, port: int = _READINESS_PORT) -> int:
    """Return 0 as soon as the proxy is ready, 1 if it is not in time. Times are in seconds."""
    end = time.monotonic() + timeout
    while True:
        for host in _HOSTS:
            with contextlib.suppress(OSError):  # it does not listen yet
                if _request("GET", _READINESS_PATH, port, host)[0] == 200:
                    return 0
        if time.monotonic() >= end:
            sys.stderr.write(f"weft wait: the proxy is not ready after {timeout:g} s\n")
            return 1
        time.sleep(_POLL)


def drain(*, everything: bool, minimum: float, maximum: float, admin_port: int = _ADMIN_PORT) -> int:
    """Drain, and return when nobody is served any more: after `minimum`, before `maximum` seconds.

    Only inbound connections drain, unless `everything` does, as at a gateway: an application that finishes its work
    may still have to call others. Raises OSError where Envoy's admin interface can't be reached.
    """
    start = time.monotonic()
    direction = "" if everything else "&inboundonly"
    status, body = _request("POST", f"/drain_listeners?graceful&skip_exit{direction}", admin_port)
    if status != 200:
        sys.stderr.write(f"weft drain: Envoy answered {status}: {body.strip()}\n")
        return 1
    time.sleep(min(minimum, maximum))
    while (left := start + maximum - time.monotonic()) > 0:
        if not served(_request("GET", _STATS, admin_port)[1], everything=everything):
            break
        time.sleep(min(_POLL, left))
    return 0


def served(stats: str, *, everything: bool) -> int:
    """How much is going on in Envoy's listeners: HTTP requests, and connections that are not HTTP.

    Of the latter there is no count of its own: they are what is left of a listener's connections.
    """
    connections = requests = 0
    for port, count in _LISTENER.findall(stats):
        if int(port) not in _OWN_PORTS and (everything or int(port) == _INBOUND_PORT):
            connections += int(count)
    for name, kind, count in _HTTP.findall(stats):
        if everything or name.startswith("inbound_"):
            requests += int(count) if kind == "rq" else 0
            connections -= int(count) if kind == "cx" else 0
    return requests + max(0, connections)


def _request(method: str, target: str, port: int, host: str = _HOST) -> tuple[int, str]:
    """Status and body of a small request to loopback; http.client alone would double the time that a hook takes."""
    with socket.create_connection((host, port), timeout=_TIMEOUT) as connection:
        head = f"{method} {target} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        connection.sendall(head.encode())
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    head_bytes, _, body = received.partition(b"\r\n\r\n")
    parts = head_bytes.split(b" ", 2)
    if len(parts) < 3 or not parts[1].isdigit():
        raise ConnectionError("the answer is not HTTP")
    chunked = b"transfer-encoding: chunked" in head_bytes.lower()
    return int(parts[1]), (_dechunked(body) if chunked else body).decode(errors="replace")


def _dechunked(body: bytes) -> bytes:
    """A body without the sizes of its chunks (RFC 9112, section 7.1)."""
    content = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size.partition(b";")[0] or b"0", 16)
        content += rest[:length]
        body = rest[length + 2 :] if length else b""
    return content


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="weft", description="Hooks of a proxy's container.")
    commands = parser.add_subparsers(dest="command", required=True)
    waiting = commands.add_parser("wait", help="Return when the proxy is ready.")
    waiting.add_argument("--timeout", type=_seconds, default=60.0, help="seconds to wait at most")
    waiting.add_argument("--port", type=int, default=_READINESS_PORT, help="where it says so")
    draining = commands.add_parser("drain", help="Send clients elsewhere, and return when all are served.")
    draining.add_argument("--all", action="store_true", help="outbound listeners too: for gateways")
    draining.add_argument("--minimum", type=_seconds, default=0.0, help="seconds to stay in any case")
    draining.add_argument("--maximum", type=_seconds, default=0.0, help="seconds to stay at most")
    draining.add_argument("--port", type=int, default=_ADMIN_PORT, help="Envoy's admin port")
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds")
    return value

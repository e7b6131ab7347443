"""The control planes that are compared: Weft, and istiod as it comes and without the wait for more changes."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.replicas import free_port
from bench.sidecars import ORDER

from weft_xds.types import VHDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where a control plane listens, all on loopback: ports."""

    xds: int = field(default_factory=free_port)
    http: int = field(default_factory=free_port)
    webhooks: int = field(default_factory=free_port)
    others: tuple[int, ...] = field(default_factory=lambda: tuple(free_port() for _ in range(3)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A control plane to measure; `types` is how many types of `sidecars.ORDER` it has."""

    title: str
    name: str
    namespace: str
    types: int
    command: Callable[[Addresses], Sequence[str | Path]]
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def server_name(self) -> str:
        """What its certificate names."""
        return f"{self.name}.{self.namespace}.svc"


def programs(istiod: Path | None) -> tuple[Program, ...]:
    """What is compared; Weft alone without an istiod."""
    executable = Path(sys.executable).with_name("weft")

    def serve(at: Addresses) -> Sequence[str | Path]:
        flags = {"xds": at.xds, "http": at.http, "webhooks": at.webhooks}
        return (executable, "serve", "--kubernetes", *(f"--{flag}=127.0.0.1:{port}" for flag, port in flags.items()))

    def discovery(at: Addresses) -> Sequence[str | Path]:
        plaintext, monitoring, introspection = at.others
        flags = {
            **{"secureGRPCAddr": at.xds, "httpAddr": at.http, "httpsAddr": at.webhooks},
            **{"grpcAddr": plaintext, "monitoringAddr": monitoring},
        }
        listening = (f"--{flag}=127.0.0.1:{port}" for flag, port in flags.items())
        assert istiod is not None
        return (istiod, "discovery", *listening, f"--ctrlz_port={introspection}")

    def peer(title: str, settings: Mapping[str, str]) -> Program:
        where, types = "istio-system", ORDER.index(VHDS)
        settings = {"PILOT_MAX_REQUESTS_PER_SECOND": "100000", **settings}
        return Program(title=title, name="istiod", namespace=where, types=types, command=discovery, settings=settings)

    hurried = {"PILOT_DEBOUNCE_AFTER": "0s", "PILOT_ENABLE_EDS_DEBOUNCE": "false"}
    weft = Program(title="Weft", name="weft", namespace="weft-system", types=len(ORDER), command=serve)
    return (weft, peer("istiod", {}), peer("istiod, undelayed", hurried)) if istiod else (weft,)

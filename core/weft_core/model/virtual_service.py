"""VirtualService (networking.istio.io): how traffic to hosts is routed."""

from collections.abc import Iterator, Sequence

from pydantic import Field

from weft_core.model.base import Model
from weft_core.model.cors import CorsPolicy, UnmatchedPreflights
from weft_core.model.destination import (
    Destination,
    HeaderOperations,
    Headers,
    HTTPRouteDestination,
    RouteDestination,
    weight_mistakes,
)
from weft_core.model.export import ExportTo, is_namespace
from weft_core.model.fault import Abort, Delay, HTTPFaultInjection
from weft_core.model.frozen import EMPTY
from weft_core.model.http_match import HTTPMatchRequest, claim_of
from weft_core.model.http_route import (
    Delegate,
    HTTPBody,
    HTTPDirectResponse,
    HTTPMirrorPolicy,
    HTTPRedirect,
    HTTPRetry,
    HTTPRewrite,
    HTTPRoute,
    RedirectPortSelection,
    RegexRewrite,
)
from weft_core.model.mistake import Mistake, Path
from weft_core.model.scalars import Cidr, HostOrAddress, Labels, PortNumber, WildcardHost, is_host
from weft_core.problems import Code, Severity

__all__ = [
    "MESH", "Abort", "CorsPolicy", "Delay", "Delegate", "Destination", "HTTPBody", "HTTPDirectResponse",
    "HTTPFaultInjection", "HTTPMatchRequest", "HTTPMirrorPolicy", "HTTPRedirect", "HTTPRetry", "HTTPRewrite",
    "HTTPRoute", "HTTPRouteDestination", "HeaderOperations", "Headers", "L4MatchAttributes", "RedirectPortSelection",
    "RegexRewrite", "RouteDestination", "TCPRoute", "TLSMatchAttributes", "TLSRoute", "UnmatchedPreflights",
    "VirtualService",
]  # fmt: skip

MESH = "mesh"
"""The reserved gateway name that stands for all sidecars."""


class TLSMatchAttributes(Model):
    """Conditions on a TLS connection that is not terminated, all of which must hold."""

    sni_hosts: tuple[WildcardHost, ...] = Field(min_length=1, description="Names in the ClientHello.")
    destination_subnets: tuple[Cidr, ...] = Field((), description="Addresses that were called.")
    port: PortNumber | None = Field(None, description="The service's port that was addressed.")
    source_labels: Labels = Field(EMPTY, description="Labels of the calling workload.")
    gateways: tuple[str, ...] = Field((), description="Gateways, or `mesh`, for which alone this match counts.")
    source_namespace: str = Field("", description="Namespace of the calling workload.")


class TLSRoute(Model):
    """A rule for TLS connections that pass through, chosen by their server name."""

    match: tuple[TLSMatchAttributes, ...] = Field(min_length=1, description="Alternatives, one of which must hold.")
    route: tuple[RouteDestination, ...] = Field(min_length=1, description="Destinations that share connections.")

    @property
    def is_catch_all(self) -> bool:
        """Never: a match has server names."""
        return False

    def check(self) -> Iterator[Mistake]:
        """Weights that add up to something."""
        yield from weight_mistakes(self.route)


class L4MatchAttributes(Model):
    """Conditions on a connection, all of which must hold."""

    destination_subnets: tuple[Cidr, ...] = Field((), description="Addresses that were called.")
    port: PortNumber | None = Field(None, description="The service's port that was addressed.")
    source_subnet: Cidr | None = Field(None, description="Accepted and without effect, as in Istio.")
    source_labels: Labels = Field(EMPTY, description="Labels of the calling workload.")
    gateways: tuple[str, ...] = Field((), description="Gateways, or `mesh`, for which alone this match counts.")
    source_namespace: str = Field("", description="Namespace of the calling workload.")

    def check(self) -> Iterator[Mistake]:
        """A note where a field without effect is used."""
        if self.source_subnet is not None:
            yield Mistake(
                path=("sourceSubnet",),
                severity=Severity.WARNING,
                code=Code.UNSUPPORTED_FIELD,
                message="sourceSubnet has no effect",
                fix="use sourceLabels or sourceNamespace",
            )


class TCPRoute(Model):
    """A rule for TCP connections."""

    match: tuple[L4MatchAttributes, ...] = Field((), description="Alternatives, one of which must hold.")
    route: tuple[RouteDestination, ...] = Field(min_length=1, description="Destinations that share connections.")

    @property
    def is_catch_all(self) -> bool:
        """Whether it holds for every connection."""
        return not self.match or L4MatchAttributes() in self.match

    def check(self) -> Iterator[Mistake]:
        """Weights that add up to something."""
        yield from weight_mistakes(self.route)


class VirtualService(Model):
    """Routing rules for one or more hosts, for the sidecars (`mesh`) or gateways it names."""

    hosts: tuple[HostOrAddress, ...] = Field((), description="Hosts whose traffic is routed; none for a delegate.")
    gateways: tuple[str, ...] = Field((), description="`mesh` (the default), and gateways as ns/name or name.")
    http: tuple[HTTPRoute, ...] = Field((), description="Rules for HTTP, in order.")
    tls: tuple[TLSRoute, ...] = Field((), description="Rules for TLS passed through, in order.")
    tcp: tuple[TCPRoute, ...] = Field((), description="Rules for TCP, in order.")
    export_to: ExportTo = Field((), description="Namespaces that see it: `.`, `*`, or names.")

    @property
    def applies_to_mesh(self) -> bool:
        """Whether sidecars follow it."""
        return not self.gateways or MESH in self.gateways

    def claim_paths(self) -> Iterator[Path]:
        """Where its HTTP rules ask for a claim of the verified token."""
        for index, rule in enumerate(self.http):
            for position, match in enumerate(rule.match):
                for field, headers in (("headers", match.headers), ("withoutHeaders", match.without_headers)):
                    yield from (("http", index, "match", position, field, name) for name in headers if claim_of(name))

    def check(self) -> Iterator[Mistake]:
        """Rules exist, hosts fit the gateways, and no rule hides behind another."""
        if not (self.http or self.tls or self.tcp):
            yield Mistake(message="there are no rules", fix="add http, tls or tcp")
        if self.hosts:
            yield from self._check_hosts()
            yield from self._check_claims()
        else:
            yield from self._check_delegate()
        for index, gateway in enumerate(self.gateways):
            namespace, slash, name = gateway.rpartition("/")
            if not is_host(name, wildcard=False) or (slash and not is_namespace(namespace)):
                yield Mistake(
                    path=("gateways", index),
                    message=f"`{gateway}` is not the name of a gateway",
                    fix="write mesh, name or namespace/name",
                )
        yield from _unreachable("http", self.http)
        yield from _unreachable("tls", self.tls)
        yield from _unreachable("tcp", self.tcp)

    def _check_hosts(self) -> Iterator[Mistake]:
        seen: set[str] = set()
        for index, host in enumerate(self.hosts):
            if host == "*" and self.applies_to_mesh:
                yield Mistake(
                    path=("hosts", index),
                    message="`*` would take the traffic of every sidecar to everything",
                    fix="name the hosts, or list gateways without mesh",
                )
            if host.lower() in seen:
                yield Mistake(path=("hosts", index), message=f"`{host}` is listed twice", fix="remove one")
            seen.add(host.lower())

    def _check_claims(self) -> Iterator[Mistake]:
        """Sidecars route before they verify tokens: a claim is never there, whatever the request has."""
        for path in self.claim_paths() if self.applies_to_mesh else ():
            yield Mistake(
                path=path,
                message="only gateways route by claims, and this is for sidecars, too",
                fix="list gateways without mesh, or match something else",
            )

    def _check_delegate(self) -> Iterator[Mistake]:
        """A VirtualService without hosts is a delegate: only HTTP rules, for whoever delegates to it."""
        for name in ("gateways", "tls", "tcp"):
            if getattr(self, name):
                yield Mistake(
                    path=(name,),
                    message=f"without hosts this is a delegate, and a delegate has no {name}",
                    fix="add hosts, or remove it",
                )
        for index, rule in enumerate(self.http):
            if rule.delegate:
                yield Mistake(
                    path=("http", index, "delegate"),
                    message="a delegate cannot delegate again",
                    fix="write the rules here",
                )


def _unreachable(field: str, rules: Sequence[HTTPRoute | TLSRoute | TCPRoute]) -> Iterator[Mistake]:
    """Warnings about rules behind a catch-all, and about matches that an earlier rule has already."""
    caught_by: int | None = None
    seen: dict[object, int] = {}
    for index, rule in enumerate(rules):
        if caught_by is not None:
            yield Mistake(
                path=(field, index),
                severity=Severity.WARNING,
                code=Code.VIRTUAL_SERVICE_UNREACHABLE_RULE,
                message=f"nothing reaches this rule: {field}[{caught_by}] matches everything",
                fix="put the rule without conditions last",
            )
            continue
        for position, match in enumerate(rule.match):
            unnamed = match.model_copy(update={"name": ""}) if isinstance(match, HTTPMatchRequest) else match
            earlier = seen.setdefault(unnamed, index)
            if earlier != index:
                yield Mistake(
                    path=(field, index, "match", position),
                    severity=Severity.WARNING,
                    code=Code.VIRTUAL_SERVICE_INEFFECTIVE_MATCH,
                    message=f"{field}[{earlier}] has the same match and comes first",
                    fix="remove one of them, or tell them apart",
                )
        if rule.is_catch_all:
            caught_by = index

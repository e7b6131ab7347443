"""HTTP rules of a VirtualService as Envoy's routes, in order, as far as they can hold for a client."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from weft_core.graph import query
from weft_core.ir.route import (
    MILLION,
    DirectResponse,
    Forward,
    Headers,
    Mirror,
    PathKind,
    Redirect,
    Rewrite,
    Route,
    RouteMatch,
    WeightedCluster,
)
from weft_core.model.virtual_service import HTTPMatchRequest, HTTPRewrite, HTTPRoute, HTTPRouteDestination
from weft_core.names import config_path
from weft_core.problems import ObjectRef
from weft_core.registry import Key, Registry
from weft_core.view.destinations import destination_cluster, destination_hash_policies, shared_client
from weft_core.view.route_cors import cors
from weft_core.view.route_fault import fault, per_million
from weft_core.view.route_headers import headers, host_rewrite, joined
from weft_core.view.route_match import Viewpoint, holds_http, route_match
from weft_core.view.route_redirect import direct_response, redirect
from weft_core.view.route_retry import default_retry, for_hashing, retry_policy
from weft_core.view.selectors import project
from weft_core.view.virtual_services import client_needs, http_destination_hosts, http_rules
from weft_core.view.visibility import Client

NO_TIMEOUT = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RouteScope:
    """One VirtualService as some clients meet it; the smallest key of its routes."""

    virtual_service: Key
    viewpoint: Viewpoint
    """The client's namespace and labels are in it only where the rules ask for them."""
    client: Client
    """For whom the destinations are looked up; nobody in particular where they mean the same to all."""


@query
def route_scope(db: Registry, client: Client, gateways: tuple[str, ...], port: int, key: Key) -> RouteScope:
    """A client reduced to what matters to the rules of one VirtualService."""
    needs = client_needs(db, key)
    return RouteScope(
        virtual_service=key,
        viewpoint=Viewpoint(
            gateways=gateways,
            port=port,
            namespace=client.namespace if needs.namespace else "",
            labels=project(client.labels, needs.label_keys),
        ),
        client=shared_client(db, client, http_destination_hosts(db, key)),
    )


@query
def yields_routes(db: Registry, scope: RouteScope) -> bool:
    """Whether any rule can hold. A VirtualService of which none can is as good as absent."""
    return bool(http_routes(db, scope))


@query
def http_routes(db: Registry, scope: RouteScope) -> tuple[Route, ...]:
    """All routes, one for each match. What comes after one that catches everything is left out."""
    routes: list[Route] = []
    for rule in http_rules(db, scope.virtual_service):
        for match in _matches(rule, scope.viewpoint):
            route = _route(db, scope, rule, match)
            if route is None:
                continue
            routes.append(route)
            if route.match.catches_all:
                return tuple(routes)
    return tuple(routes)


def operation(match: RouteMatch) -> str:
    """The part of a span's name that says which path was asked for."""
    if match.path.kind is PathKind.PREFIX:
        return f"{match.path.value}*"
    return f"{match.path.value}*" if match.path.kind is PathKind.SEGMENTS else match.path.value


def _matches(rule: HTTPRoute, viewpoint: Viewpoint) -> Iterator[HTTPMatchRequest | None]:
    if not rule.match:
        yield None
    yield from (match for match in rule.match if holds_http(match, viewpoint))


def _route(db: Registry, scope: RouteScope, rule: HTTPRoute, match: HTTPMatchRequest | None) -> Route | None:
    condition = route_match(match)
    action = _action(db, scope, rule)
    if action is None:
        return None
    namespace, name = scope.virtual_service
    config = config_path(ObjectRef(kind="VirtualService", namespace=namespace, name=name))
    single = action.clusters[0].name if isinstance(action, Forward) and len(action.clusters) == 1 else ""
    _, port, _, host = single.split("|") if single else ("", str(scope.viewpoint.port), "", name)
    return Route(
        name=".".join(part for part in (rule.name, match.name if match else "") if part),
        match=condition,
        action=action,
        headers=_headers(rule),
        fault=fault(rule.fault) if rule.fault else None,
        cors=cors(rule.cors_policy) if rule.cors_policy else None,
        operation=f"{host}:{port}{operation(condition)}",
        stat_prefix=match.stat_prefix if match else "",
        config=config,
    )


def _action(db: Registry, scope: RouteScope, rule: HTTPRoute) -> Forward | Redirect | DirectResponse | None:
    """A redirection goes before a fixed response, that before destinations; None where there is none of them."""
    if rule.redirect is not None:
        return redirect(rule.redirect, scope.viewpoint.port)
    if rule.direct_response is not None:
        return direct_response(rule.direct_response)
    chosen = weighted(rule.route)
    if not chosen:
        return None
    client, dialled = scope.client, scope.viewpoint.port
    hashed = tuple(
        policy for entry in chosen for policy in destination_hash_policies(db, client, entry.destination, dialled)
    )
    retry = retry_policy(rule.retries) if rule.retries is not None else default_retry(db)
    several = len(chosen) > 1
    clusters = tuple(
        WeightedCluster(
            name=destination_cluster(db, client, entry.destination, dialled),
            weight=entry.weight if several else 1,
            headers=headers(entry.headers) if several else Headers(),
            host_rewrite=host_rewrite(entry.headers),
        )
        for entry in chosen
    )
    return Forward(
        clusters=clusters,
        timeout=rule.timeout if rule.timeout is not None else NO_TIMEOUT,
        retry=for_hashing(retry) if hashed else retry,
        rewrite=_rewrite(rule.rewrite, host_rewrite(rule.headers)),
        mirrors=tuple(_mirrors(db, scope, rule)),
        hash_policies=tuple(dict.fromkeys(hashed)),
    )


def _headers(rule: HTTPRoute) -> Headers:
    """The rule's operations; those of a single destination, which Envoy gives no place of its own, before them."""
    own, chosen = headers(rule.headers), weighted(rule.route)
    return joined(headers(chosen[0].headers), own) if len(chosen) == 1 else own


def weighted(entries: tuple[HTTPRouteDestination, ...]) -> tuple[HTTPRouteDestination, ...]:
    """The destinations that get requests: a single one whatever its weight, of several those with a weight."""
    return entries if len(entries) == 1 else tuple(entry for entry in entries if entry.weight)


def _rewrite(written: HTTPRewrite | None, host: str) -> Rewrite:
    if written is None:
        return Rewrite(host=host)
    pattern = written.uri_regex_rewrite
    return Rewrite(
        prefix="" if pattern else written.uri,
        pattern=pattern.match if pattern else "",
        substitution=pattern.rewrite if pattern else "",
        host=written.authority or host,
    )


def _mirrors(db: Registry, scope: RouteScope, rule: HTTPRoute) -> Iterator[Mirror]:
    """The single mirror first. A share that is not given is all, one of exactly 0 is no mirror."""
    found = []
    if rule.mirror is not None:
        given = rule.mirror_percentage is not None or rule.mirror_percent is not None
        share = per_million(rule.mirror_percentage, rule.mirror_percent) if given else MILLION
        found.append((rule.mirror, share))
    found += [(m.destination, per_million(m.percentage) if m.percentage else MILLION) for m in rule.mirrors]
    for destination, share in found:
        if share:
            cluster = destination_cluster(db, scope.client, destination, scope.viewpoint.port)
            yield Mirror(cluster=cluster, per_million=share)

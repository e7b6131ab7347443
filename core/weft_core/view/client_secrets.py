"""Secrets that clients need: certificates and roots that DestinationRules name by `credentialName`.

A gateway gets those of every rule that reaches it, a sidecar only those of rules that select it by `workloadSelector`,
which hold in their own namespace alone. Always the Secret of the proxy's own namespace: a rule, which may be anybody's,
must not fetch other people's keys. To whom a Secret is not sent, its cluster has none, and connections fail.
"""

from collections.abc import Iterator

from weft_core.graph import query
from weft_core.model.destination_rule import DestinationRule, TrafficPolicy
from weft_core.model.mistake import Path
from weft_core.model.tls_settings import ClientTLSMode, ClientTLSSettings
from weft_core.problems import Code, Problem, Severity
from weft_core.registry import Key, Registry
from weft_core.view.destination_rules import rule_scope
from weft_core.view.finding import finding
from weft_core.view.gateway_secrets import CERTIFICATE_PREFIX, ROOTS_SUFFIX, SecretId, secret
from weft_core.view.selectors import selects
from weft_core.view.visibility import Client


@query
def client_secrets(db: Registry, client: Client) -> tuple[SecretId, ...]:
    """The Secrets that a client's clusters may ask for, by name."""
    names = {name for key in _naming_rules(db) if _reaches(db, key, client) for name in _names(db, key)}
    return tuple(SecretId(client.namespace, name) for name in sorted(names))


@query
def credential_problems(db: Registry, key: Key) -> tuple[Problem, ...]:
    """The Secrets that a DestinationRule names for sidecars, and that are missing or lack what is needed.

    Where a gateway's Secrets are is decided by where its pods are, so rules without selector are not looked into.
    """
    row = db.destination_rules.get(key)
    if row is None or row.spec.workload_selector is None:
        return ()
    return tuple(
        finding(
            row.meta.ref,
            (*path, "tls", "credentialName"),
            code=Code.REFERENCED_RESOURCE_NOT_FOUND,
            severity=Severity.ERROR,
            message=f"no Secret of {key[0]} has {_contents(missing[0])} under this name: connections fail",
            fix=f"create the Secret {settings.credential_name} in {key[0]}",
        )
        for path, settings in _settings(row.spec)
        if (missing := [name for name in secret_names(settings) if secret(db, SecretId(key[0], name)) is None])
    )


def secret_names(settings: ClientTLSSettings) -> tuple[str, ...]:
    """The SDS names of what is taken from a rule's Secret: roots, and with MUTUAL the client's certificate."""
    if not settings.credential_name:
        return ()
    own = f"{CERTIFICATE_PREFIX}{settings.credential_name}"
    certificate = (own,) if settings.mode is ClientTLSMode.MUTUAL else ()
    unverified = settings.insecure_skip_verify or settings.mode not in (ClientTLSMode.SIMPLE, ClientTLSMode.MUTUAL)
    return certificate if unverified else (*certificate, f"{own}{ROOTS_SUFFIX}")


def _contents(name: str) -> str:
    return "ca.crt" if name.endswith(ROOTS_SUFFIX) else "tls.crt and tls.key"


@query
def _naming_rules(db: Registry) -> tuple[Key, ...]:
    """The rules that name Secrets at all: few, so that every client can look through them."""
    return tuple(key for key in db.destination_rules.all_keys() if _names(db, key))


@query
def _names(db: Registry, key: Key) -> tuple[str, ...]:
    row = db.destination_rules.get(key)
    return tuple(name for _, settings in _settings(row.spec) for name in secret_names(settings)) if row else ()


def _reaches(db: Registry, key: Key, client: Client) -> bool:
    scope = rule_scope(db, key)
    if scope is None or not scope.exported_to(client.namespace):
        return False
    return client.gateway if scope.selector is None else selects(dict(scope.selector), client.labels)


def _settings(rule: DestinationRule) -> Iterator[tuple[Path, ClientTLSSettings]]:
    """All TLS settings of a rule, with the paths of the policies that they stand in."""
    found: list[tuple[Path, TrafficPolicy | None]] = [(("trafficPolicy",), rule.traffic_policy)]
    found += [(("subsets", index, "trafficPolicy"), subset.traffic_policy) for index, subset in enumerate(rule.subsets)]
    for path, policy in found:
        if policy is None:
            continue
        if policy.tls:
            yield path, policy.tls
        for index, port in enumerate(policy.port_level_settings):
            if port.tls:
                yield (*path, "portLevelSettings", index), port.tls

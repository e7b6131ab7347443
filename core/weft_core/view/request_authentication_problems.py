"""What is wrong with a RequestAuthentication: keys that verify nothing, and places where no token can come."""

from collections.abc import Iterator

from weft_core.graph import query
from weft_core.model.meta import Config
from weft_core.model.request_authentication import RequestAuthentication
from weft_core.problems import Code, Problem, Severity
from weft_core.registry import Key, Registry
from weft_core.view.finding import finding
from weft_core.view.key_sets import has_usable_key
from weft_core.view.policy_scope import match_labels, targets
from weft_core.view.selector_problems import governed_namespaces, selects_no_pods, unserved_targets
from weft_core.view.selectors import labels_of
from weft_core.view.workload_ports import selected_ports

Row = Config[RequestAuthentication]


@query
def request_authentication_problems(db: Registry, key: Key) -> tuple[Problem, ...]:
    """All findings about one policy."""
    row = db.request_authentications.get(key)
    if row is None:
        return ()
    found = [*_keys(row), *unserved_targets(db, row.meta.ref, row.spec, "no token is verified by this one")]
    if not targets(row.spec):
        found += [*_selects_nothing(db, row), *_on_tcp(db, row)]
    return tuple(found)


def _keys(row: Row) -> Iterator[Problem]:
    for index, rule in enumerate(row.spec.jwt_rules):
        if rule.jwks:
            if not has_usable_key(rule.jwks):
                yield finding(
                    row.meta.ref,
                    ("jwtRules", index, "jwks"),
                    severity=Severity.ERROR,
                    code=Code.SCHEMA_VALIDATION_ERROR,
                    message=f"no key of it is complete: all tokens of {rule.issuer} are refused",
                    fix="write a key set with at least one RSA, EC, OKP or oct key",
                )
            continue
        yield finding(
            row.meta.ref,
            ("jwtRules", index, "jwksUri" if rule.jwks_uri else "issuer"),
            severity=Severity.ERROR,
            code=Code.UNSUPPORTED_FIELD,
            message=f"keys are not fetched yet: all tokens of {rule.issuer} are refused",
            fix="write the key set into jwks",
        )


def _selects_nothing(db: Registry, row: Row) -> Iterator[Problem]:
    yield from selects_no_pods(
        db,
        row.meta.ref,
        ("selector", "matchLabels"),
        match_labels(row.spec),
        namespaces=governed_namespaces(db, row.meta.namespace),
        effect="no token is verified by this policy",
    )


def _on_tcp(db: Registry, row: Row) -> Iterator[Problem]:
    """Only HTTP requests carry tokens. A selector that picks workloads with no HTTP at all is a mistake."""
    selector = labels_of(match_labels(row.spec))
    ports = selected_ports(db, row.meta.namespace, selector) if selector else ()
    if ports and all(port.protocol.is_tcp or port.protocol.is_tls for port in ports):
        numbers = ", ".join(str(port.service_port or port.number) for port in ports)
        yield finding(
            row.meta.ref,
            ("selector",),
            code=Code.JWT_ON_TCP_PORT,
            message=f"port {numbers} does not speak HTTP, so that no token is ever looked at",
            fix="name the port's protocol in its Service (http-…, grpc-…), or remove the policy",
        )

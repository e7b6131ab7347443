"""What is wrong with an AuthorizationPolicy in its surroundings, and what is right but easily misread."""

from collections.abc import Iterator

from weft_core.graph import query
from weft_core.ir.service import Protocol
from weft_core.model.authorization_policy import Action, AuthorizationPolicy
from weft_core.model.meta import Config
from weft_core.model.mistake import Path, format_path
from weft_core.problems import Code, Problem, Severity
from weft_core.registry import Key, Registry
from weft_core.view.authorization import DRY_RUN_ANNOTATION
from weft_core.view.authorization_rules import http_attributes
from weft_core.view.mesh import root_namespace
from weft_core.view.policy_scope import match_labels, targets
from weft_core.view.selectors import labels_of
from weft_core.view.workload_ports import selected_ports, selected_workloads

Row = Config[AuthorizationPolicy]


@query
def authorization_policy_problems(db: Registry, key: Key) -> tuple[Problem, ...]:
    """All findings about one policy that depend on other objects, and notices."""
    row = db.authorization_policies.get(key)
    if row is None:
        return ()
    return (*_custom(row), *_targets(row), *_allows_nothing(row), *_selects_nothing(db, row), *_on_tcp(db, row))


def _problem(row: Row, path: Path, *, code: str, severity: Severity, message: str, fix: str = "") -> Problem:
    return Problem(
        code=code,
        severity=severity,
        object=row.meta.ref,
        path=format_path(("spec", *path)),
        message=message,
        fix=fix,
        source=row.meta.source,
    )


def _custom(row: Row) -> Iterator[Problem]:
    if row.spec.action is Action.CUSTOM:
        yield _problem(
            row,
            ("action",),
            code=Code.UNSUPPORTED_FIELD,
            severity=Severity.ERROR,
            message="external authorizers are not called yet: the requests that this policy covers are refused",
            fix="replace it by ALLOW or DENY policies",
        )


def _targets(row: Row) -> Iterator[Problem]:
    for index, target in enumerate(targets(row.spec)):
        if target.kind != "Gateway":
            yield _problem(
                row,
                ("targetRefs", index) if row.spec.target_refs else ("targetRef",),
                code=Code.UNSUPPORTED_FIELD,
                severity=Severity.ERROR,
                message=f"policies attached to a {target.kind} are not in force: nothing is protected by this one",
                fix="select the workloads by selector.matchLabels",
            )


def _allows_nothing(row: Row) -> Iterator[Problem]:
    trial = row.meta.annotations.get(DRY_RUN_ANNOTATION, "").lower() == "true"
    if row.spec.action is Action.ALLOW and not row.spec.rules and not trial:
        yield _problem(
            row,
            (),
            code=Code.SCHEMA_WARNING,
            severity=Severity.INFO,
            message="without rules it allows nothing: all requests are refused that no other ALLOW policy covers",
            fix="leave it, if that is meant; `rules: [{}]` allows everything",
        )


def _selects_nothing(db: Registry, row: Row) -> Iterator[Problem]:
    """In the root namespace a selector picks workloads of every namespace."""
    selector = match_labels(row.spec)
    if not selector:
        return
    own = row.meta.namespace
    places = db.namespaces.all_keys() if own == root_namespace(db) else (own,)
    if not any(selected_workloads(db, place, selector) for place in (*places, own)):
        wanted = ", ".join(f"{name}={value}" for name, value in labels_of(selector))
        yield _problem(
            row,
            ("selector", "matchLabels"),
            code=Code.INEFFECTIVE_SELECTOR,
            severity=Severity.WARNING,
            message=f"no pod has the labels {wanted}: nothing is protected by this policy",
            fix="correct the labels, or start pods that have them",
        )


def _on_tcp(db: Registry, row: Row) -> Iterator[Problem]:
    """Attributes of HTTP requests, where some of the workloads' ports are plain TCP."""
    ports = [
        port.number
        for port in selected_ports(db, row.meta.namespace, labels_of(match_labels(row.spec)))
        if not port.protocol.is_http and port.protocol is not Protocol.AUTO
    ]
    if not ports or targets(row.spec):
        return
    numbers = ", ".join(str(number) for number in dict.fromkeys(ports))
    allow = row.spec.action is Action.ALLOW
    effect = "the rule never holds" if allow else f"it is left out, and {row.spec.action} covers more"
    for index, rule in enumerate(row.spec.rules):
        for path in http_attributes(rule):
            yield _problem(
                row,
                ("rules", index, *path),
                code=Code.HTTP_ATTRIBUTE_ON_TCP_PORT,
                severity=Severity.WARNING,
                message=f"port {numbers} is TCP, where only HTTP has this attribute: there {effect}",
                fix="limit the rule with to[].operation.ports, or name the port's protocol (http-…) in its Service",
            )

"""What is wrong with an AuthorizationPolicy in its surroundings, and what is right but easily misread."""

from collections.abc import Iterator

from weft_core.graph import query
from weft_core.injection import declines
from weft_core.ir.service import Protocol
from weft_core.model.authorization_policy import Action, AuthorizationPolicy, Rule
from weft_core.model.dry_run import is_trial
from weft_core.model.meta import Config
from weft_core.model.mistake import Path
from weft_core.problems import Code, Problem, Severity
from weft_core.proxy import ProxyId, ProxyKind
from weft_core.registry import Key, Registry
from weft_core.view.authorization_rules import http_attributes
from weft_core.view.finding import finding
from weft_core.view.gateways import gateway_id, gateway_ports
from weft_core.view.inbound import service_ports
from weft_core.view.policy_scope import concerns, match_labels, policy_namespaces, targets
from weft_core.view.proxies import Workload
from weft_core.view.selector_problems import governed_namespaces, selects_no_pods, unserved_targets, workloads_in
from weft_core.view.selectors import labels_of
from weft_core.view.workload_ports import selected_ports

Row = Config[AuthorizationPolicy]
_TOKEN_FIELDS = ("request_principals", "not_request_principals")
_PORT_KEY = "destination.port"
_TOKEN_KEYS = "request.auth."  # noqa: S105 - a name, not a secret


@query
def authorization_policy_problems(db: Registry, key: Key) -> tuple[Problem, ...]:
    """All findings about one policy that depend on other objects, and notices."""
    row = db.authorization_policies.get(key)
    if row is None:
        return ()
    found = [
        *_custom(row),
        *unserved_targets(db, row.meta.ref, row.spec, "nothing is protected by this one"),
        *_allows_nothing(row),
    ]
    if not targets(row.spec):
        found += [*_selects_nothing(db, row), *_on_tcp(db, row), *_service_ports(db, row), *_claims(db, row)]
    return tuple(found)


def _custom(row: Row) -> Iterator[Problem]:
    if row.spec.action is Action.CUSTOM:
        yield finding(
            row.meta.ref,
            ("action",),
            code=Code.UNSUPPORTED_FIELD,
            severity=Severity.ERROR,
            message="external authorizers are not called yet: the requests that this policy covers are refused",
            fix="replace it by ALLOW or DENY policies",
        )


def _allows_nothing(row: Row) -> Iterator[Problem]:
    trial = is_trial(row.meta.annotations)
    if row.spec.action is Action.ALLOW and not row.spec.rules and not trial:
        yield finding(
            row.meta.ref,
            (),
            code=Code.ALLOWS_NOTHING,
            severity=Severity.INFO,
            message="without rules it allows nothing: all requests are refused that no other ALLOW policy covers",
            fix="leave it, if that is meant; `rules: [{}]` allows everything",
        )


def _selects_nothing(db: Registry, row: Row) -> Iterator[Problem]:
    yield from selects_no_pods(
        db,
        row.meta.ref,
        ("selector", "matchLabels"),
        match_labels(row.spec),
        namespaces=governed_namespaces(db, row.meta.namespace),
        effect="nothing is protected by this policy",
    )


def _on_tcp(db: Registry, row: Row) -> Iterator[Problem]:
    """Attributes of HTTP requests, where some of the workloads' ports are plain TCP."""
    namespaces = governed_namespaces(db, row.meta.namespace)
    ports = {port for pod in workloads_in(db, namespaces, match_labels(row.spec)) for port in _tcp_ports(db, pod)}
    allow = row.spec.action is Action.ALLOW
    effect = "the rule never holds" if allow else f"it is left out, and {row.spec.action} covers more"
    for index, rule in enumerate(row.spec.rules):
        reached = [str(number) for number in sorted(ports) if _reaches(rule, str(number))]
        where = f"ports {', '.join(reached)} are" if len(reached) > 1 else f"port {''.join(reached)} is"
        for path in http_attributes(rule) if reached else ():
            yield finding(
                row.meta.ref,
                ("rules", index, *path),
                code=Code.HTTP_ATTRIBUTE_ON_TCP_PORT,
                message=f"{where} TCP, where only HTTP has this attribute: there {effect}",
                fix="limit the rule with to[].operation.ports, or name the port's protocol (http-…) in its Service",
            )


def _tcp_ports(db: Registry, pod: Workload) -> Iterator[int]:
    """Where no requests are looked into. At a gateway its servers say so: HTTPS may end there, or pass through."""
    gateway = gateway_id(db, ProxyId(ProxyKind.GATEWAY, pod.namespace, pod.name))
    if gateway is not None and gateway.gateways:
        for opened in gateway_ports(db, gateway):
            if not all(server.routes_http for server in opened.servers):
                yield opened.target
    elif not declines(pod.labels):
        for port in service_ports(db, pod.namespace, pod.labels, pod.ports):
            if not port.protocol.is_http and port.protocol is not Protocol.AUTO:
                yield port.number


def _reaches(rule: Rule, port: str) -> bool:
    """Whether a rule is about a port, as far as its operations' ports say."""
    operations = [entry.operation for entry in rule.to]
    return not operations or any(
        (not each.ports or port in each.ports) and port not in each.not_ports for each in operations
    )


def _service_ports(db: Registry, row: Row) -> Iterator[Problem]:
    """Policies speak of the ports that workloads listen on; with a Service's port a DENY would never fire."""
    written = [("rules", index, *path) for index, rule in enumerate(row.spec.rules) for path in _port_paths(rule)]
    if not written:
        return
    selector, namespaces = match_labels(row.spec), governed_namespaces(db, row.meta.namespace)
    ports = [port for each in namespaces for port in selected_ports(db, each, labels_of(selector))]
    known = {port.number for port in ports}
    known |= {number for pod in workloads_in(db, namespaces, selector) for _, number in pod.ports}
    meant = {str(port.service_port): port.number for port in reversed(ports) if port.service_port not in known}
    for *path, number in written:
        if number in meant:
            yield finding(
                row.meta.ref,
                tuple(path),
                code=Code.REFERENCED_RESOURCE_NOT_FOUND,
                message=f"the selected pods have no port {number}, which is the Service's",
                fix=f"write the container's port, {meant[str(number)]}",
            )


def _port_paths(rule: Rule) -> Iterator[Path]:
    """Where a rule names ports, each path with the port at its end."""
    for index, entry in enumerate(rule.to):
        for name, ports in (("ports", entry.operation.ports), ("notPorts", entry.operation.not_ports)):
            yield from (("to", index, "operation", name, place, port) for place, port in enumerate(ports))
    for index, condition in enumerate(rule.when):
        if condition.key == _PORT_KEY:
            for name, ports in (("values", condition.values), ("notValues", condition.not_values)):
                yield from (("when", index, name, place, port) for place, port in enumerate(ports))


def _claims(db: Registry, row: Row) -> Iterator[Problem]:
    """Questions about tokens that nobody verifies: a token that was not verified counts as none."""
    paths = [("rules", index, *path) for index, rule in enumerate(row.spec.rules) for path in _token_paths(rule)]
    pods = workloads_in(db, governed_namespaces(db, row.meta.namespace), match_labels(row.spec)) if paths else ()
    bare = next((pod for pod in pods if not _verifies_tokens(db, pod)), None)
    for path in paths if bare else ():
        yield finding(
            row.meta.ref,
            path,
            code=Code.CLAIMS_WITHOUT_AUTHENTICATION,
            message=f"no RequestAuthentication verifies tokens for pod {bare.name if bare else ''}, "
            "so that no request to it has a principal or claims",
            fix="add a RequestAuthentication that selects the same workloads",
        )


def _token_paths(rule: Rule) -> Iterator[Path]:
    for index, caller in enumerate(rule.from_):
        for name in _TOKEN_FIELDS:
            if getattr(caller.source, name):
                yield ("from", index, "source", type(caller.source).model_fields[name].alias or name)
    for index, condition in enumerate(rule.when):
        if condition.key.startswith(_TOKEN_KEYS):
            yield ("when", index, "key")


def _verifies_tokens(db: Registry, pod: Workload) -> bool:
    return any(
        concerns(row.spec, pod.labels, own=namespace == pod.namespace)
        for namespace in policy_namespaces(db, pod.namespace)
        for row in db.request_authentications.rows("namespace", namespace)
    )

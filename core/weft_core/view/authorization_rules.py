"""One rule of an AuthorizationPolicy as an RBAC policy: who, asking for what.

Values of a field are alternatives, fields are ANDed, `not…` fields negated; entries of `from` and of `to` are
alternatives, the conditions of `when` are all ANDed. What is left out restricts nothing.

On a TCP port attributes of HTTP requests can't be checked. Then protection may grow, never shrink: an ALLOW rule that
has one is left out, a DENY (or AUDIT, or CUSTOM) rule loses the attribute and so covers more. A `when` key that nobody
knows is treated alike, on every port.
"""

from collections.abc import Iterator, Mapping

from weft_core.ir.rbac import AllOf, AnyOf, Anything, Condition, Not, RbacPolicy
from weft_core.model.authorization_policy import Action, AuthorizationPolicy, Operation, Rule, Source
from weft_core.view.authorization_attributes import OPERATION, SOURCE, Attribute, PolicyContext, condition_attribute


def rule_policies(
    spec: AuthorizationPolicy, *, prefix: str, context: PolicyContext, http: bool
) -> tuple[RbacPolicy, ...]:
    """The policies that a chain of this kind (HTTP, or plain TCP) gets from one AuthorizationPolicy."""
    return tuple(
        RbacPolicy(
            name=f"{prefix}-rule[{index}]",
            principal=_principal(rule, context, http),
            permission=_permission(rule, context, http),
        )
        for index, rule in enumerate(spec.rules)
        if spec.action is not Action.ALLOW or _checkable(rule, http)
    )


def http_attributes(rule: Rule) -> Iterator[tuple[str | int, ...]]:
    """The paths, within the rule, of all attributes that only HTTP requests have."""
    for index, caller in enumerate(rule.from_):
        yield from (("from", index, "source", name) for name in _http_fields(caller.source, SOURCE))
    for index, request in enumerate(rule.to):
        yield from (("to", index, "operation", name) for name in _http_fields(request.operation, OPERATION))
    for index, condition in enumerate(rule.when):
        attribute = condition_attribute(condition.key)
        if attribute is not None and attribute.http_only:
            yield ("when", index, "key")


def _checkable(rule: Rule, http: bool) -> bool:
    """Whether everything that the rule demands can be checked."""
    if any(condition_attribute(condition.key) is None for condition in rule.when):
        return False
    return http or not any(http_attributes(rule))


def _http_fields(message: Source | Operation, attributes: Mapping[str, Attribute]) -> Iterator[str]:
    for name, attribute in attributes.items():
        for field in (name, f"not_{name}"):
            if attribute.http_only and getattr(message, field):
                yield type(message).model_fields[field].alias or field


def _principal(rule: Rule, context: PolicyContext, http: bool) -> Condition:
    callers = tuple(_all_of(_fields(each.source, SOURCE, context, http)) for each in rule.from_)
    return _all_of((*_alternatives(callers), *_when(rule, context, http, of_operation=False)))


def _permission(rule: Rule, context: PolicyContext, http: bool) -> Condition:
    requests = tuple(_all_of(_fields(each.operation, OPERATION, context, http)) for each in rule.to)
    return _all_of((*_alternatives(requests), *_when(rule, context, http, of_operation=True)))


def _fields(
    message: Source | Operation, attributes: Mapping[str, Attribute], context: PolicyContext, http: bool
) -> Iterator[Condition]:
    for name, attribute in attributes.items():
        if http or not attribute.http_only:
            yield from _values(attribute, getattr(message, name), getattr(message, f"not_{name}"), context)


def _when(rule: Rule, context: PolicyContext, http: bool, *, of_operation: bool) -> Iterator[Condition]:
    for condition in rule.when:
        attribute = condition_attribute(condition.key)
        if attribute is None or attribute.of_operation is not of_operation:
            continue
        if http or not attribute.http_only:
            yield from _values(attribute, condition.values, condition.not_values, context)


def _values(
    attribute: Attribute, values: tuple[str, ...], not_values: tuple[str, ...], context: PolicyContext
) -> Iterator[Condition]:
    if values:
        yield AnyOf(tuple(attribute.translate(value, context) for value in values))
    if not_values:
        yield Not(AnyOf(tuple(attribute.translate(value, context) for value in not_values)))


def _alternatives(conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """No entry at all restricts nothing."""
    return (AnyOf(conditions),) if conditions else ()


def _all_of(conditions: Iterator[Condition] | tuple[Condition, ...]) -> Condition:
    found = tuple(conditions)
    if not found:
        return Anything()
    return found[0] if len(found) == 1 else AllOf(found)

"""AuthorizationPolicy (security.istio.io): who may do what."""

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from weft_core.model.base import Model, PolicySelector, PolicyTargetReference
from weft_core.model.mistake import Mistake
from weft_core.model.request_authentication import target_mistakes
from weft_core.model.scalars import Cidr, NonEmpty, is_cidr, refuse
from weft_core.problems import Code, Severity

DRY_RUN_ANNOTATION = "istio.io/dry-run"
"""With the value "true", the policy is only tried out."""
CONDITION_KEYS = (
    "source.ip", "source.namespace", "source.principal", "source.serviceAccount", "source.trustDomain", "remote.ip",
    "request.auth.principal", "request.auth.audiences", "request.auth.presenter", "destination.ip",
    "destination.port", "connection.sni",
)  # fmt: skip
"""Keys of conditions that stand for themselves."""
_KEY_FORMS = re.compile(
    r"request\.headers\[[^\[\]]+\]|request\.auth\.claims(?:\[[^\[\]]+\])+|experimental\.envoy\.filters\.[\w.\-]+\[.+\]"
)
"""Keys of conditions that name something in brackets."""
_UNKNOWN_TO_CUSTOM = frozenset({"source.namespace", "source.principal", "source.serviceAccount"})
_IP_KEYS = frozenset({"source.ip", "remote.ip", "destination.ip"})


class Action(StrEnum):
    """What a policy does with the requests that it matches."""

    ALLOW = "ALLOW"
    DENY = "DENY"
    AUDIT = "AUDIT"
    CUSTOM = "CUSTOM"


def _is_port(value: str) -> bool:
    return value.isascii() and value.isdigit() and 0 < int(value) < 65536


def _port_text(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        refuse(f"{value} is a number, and ports are texts here", f'put it in quotes: "{value}"')
    if isinstance(value, str) and not _is_port(value):
        refuse(f"`{value}` is not a port", 'write a number from 1 to 65535 in quotes: "8080"')
    return value


def _path_value(value: str) -> str:
    # `{*}` is one segment, `{**}` the rest; other stars stand at an end.
    template = value.replace("{**}", "").replace("{*}", "")
    if "{" in template or "}" in template:
        refuse(f"`{value}` is not a path template", "use {*} for one segment and {**} for the rest")
    if template != value and "*" in template:
        refuse(f"`{value}` mixes a template with a wildcard", "use {*} and {**} only")
    return value


PortText = Annotated[NonEmpty, BeforeValidator(_port_text)]
"""A port number, as text: Istio's way in policies."""
PathPattern = Annotated[NonEmpty, AfterValidator(_path_value)]
"""A path: exact, with a `*` at one end, or a template."""


class Source(Model):
    """Who calls. Fields are ANDed, the values of a field are alternatives. `*` may stand at one end of a value."""

    principals: tuple[NonEmpty, ...] = Field((), description="Identities: trust-domain/ns/NS/sa/ACCOUNT.")
    not_principals: tuple[NonEmpty, ...] = Field((), description="None of these identities.")
    request_principals: tuple[NonEmpty, ...] = Field((), description="Token identities: issuer/subject.")
    not_request_principals: tuple[NonEmpty, ...] = Field((), description="None of these token identities.")
    namespaces: tuple[NonEmpty, ...] = Field((), description="Namespaces of the caller.")
    not_namespaces: tuple[NonEmpty, ...] = Field((), description="None of these namespaces.")
    service_accounts: tuple[NonEmpty, ...] = Field((), description="namespace/account, or account of the own one.")
    not_service_accounts: tuple[NonEmpty, ...] = Field((), description="None of these accounts.")
    ip_blocks: tuple[Cidr, ...] = Field((), description="Addresses of the connection's other end.")
    not_ip_blocks: tuple[Cidr, ...] = Field((), description="None of these addresses.")
    remote_ip_blocks: tuple[Cidr, ...] = Field((), description="Addresses of the first caller (X-Forwarded-For).")
    not_remote_ip_blocks: tuple[Cidr, ...] = Field((), description="None of these first callers.")
    trust_domains: tuple[NonEmpty, ...] = Field((), description="Trust domains of the caller.")
    not_trust_domains: tuple[NonEmpty, ...] = Field((), description="None of these trust domains.")

    def check(self) -> Iterator[Mistake]:
        """At least one field; service accounts stand alone."""
        if not any(getattr(self, name) for name in type(self).model_fields):
            yield Mistake(
                message="the source is empty",
                fix="add namespaces, principals, ipBlocks …, or remove `from` to mean any caller",
            )
        for mine, others in (
            ("service_accounts", ("principals", "namespaces")),
            ("not_service_accounts", ("not_principals", "not_namespaces")),
        ):
            for name in others if getattr(self, mine) else ():
                if getattr(self, name):
                    fields = type(self).model_fields
                    yield Mistake(
                        path=(str(fields[mine].alias),),
                        message=f"{fields[mine].alias} and {fields[name].alias} exclude each other",
                        fix="keep one of them",
                    )
        for name in type(self).model_fields:
            yield from _wildcard_mistakes(str(type(self).model_fields[name].alias), getattr(self, name))


class Operation(Model):
    """What is called. Fields are ANDed, the values of a field are alternatives. `*` may stand at one end."""

    hosts: tuple[NonEmpty, ...] = Field((), description="Host headers, in any case.")
    not_hosts: tuple[NonEmpty, ...] = Field((), description="None of these hosts.")
    ports: tuple[PortText, ...] = Field((), description="Ports of the workload.")
    not_ports: tuple[PortText, ...] = Field((), description="None of these ports.")
    methods: tuple[NonEmpty, ...] = Field((), description="HTTP methods.")
    not_methods: tuple[NonEmpty, ...] = Field((), description="None of these methods.")
    paths: tuple[PathPattern, ...] = Field((), description="Paths, without the query.")
    not_paths: tuple[PathPattern, ...] = Field((), description="None of these paths.")

    def check(self) -> Iterator[Mistake]:
        """At least one field."""
        if not any(getattr(self, name) for name in type(self).model_fields):
            yield Mistake(
                message="the operation is empty",
                fix="add methods, paths, ports or hosts, or remove `to` to mean any request",
            )
        for name in ("hosts", "not_hosts", "methods", "not_methods"):
            yield from _wildcard_mistakes(str(type(self).model_fields[name].alias), getattr(self, name))


class From(Model):
    """A caller."""

    source: Source = Field(description="Who calls.")


class To(Model):
    """A request."""

    operation: Operation = Field(description="What is called.")


class Condition(Model):
    """A further condition on an attribute."""

    key: NonEmpty = Field(description="Attribute: request.headers[x-token], source.ip …")
    values: tuple[NonEmpty, ...] = Field((), description="Values, one of which it must have.")
    not_values: tuple[NonEmpty, ...] = Field((), description="Values of which it must have none.")

    def check(self) -> Iterator[Mistake]:
        """A known key, with values that it can have."""
        if self.key not in CONDITION_KEYS and not _KEY_FORMS.fullmatch(self.key):
            yield Mistake(path=("key",), message=f"`{self.key}` is not an attribute", fix=_key_fix(self.key))
        if not self.values and not self.not_values:
            yield Mistake(message="the condition has no values", fix="add values or notValues")
        for name, values in (("values", self.values), ("notValues", self.not_values)):
            for index, value in enumerate(values):
                if self.key in _IP_KEYS and not is_cidr(value):
                    yield Mistake(
                        path=(name, index),
                        message=f"`{value}` is neither an IP address nor a range",
                        fix="write 10.0.0.1 or 10.0.0.0/16",
                    )
                if self.key == "destination.port" and not _is_port(value):
                    yield Mistake(path=(name, index), message=f"`{value}` is not a port", fix='write "8080"')


class Rule(Model):
    """Requests from one of `from`, to one of `to`, under all of `when`. What is left out restricts nothing."""

    from_: tuple[From, ...] = Field((), alias="from", description="Callers, as alternatives.")
    to: tuple[To, ...] = Field((), description="Requests, as alternatives.")
    when: tuple[Condition, ...] = Field((), description="Further conditions, all of which must hold.")

    def check(self) -> Iterator[Mistake]:
        """An empty list would restrict nothing while it looks as if it did."""
        for name, value in (("from", self.from_), ("to", self.to)):
            field = "from_" if name == "from" else name
            if field in self.model_fields_set and not value:
                yield Mistake(
                    path=(name,),
                    message=f"`{name}` is an empty list, which would restrict nothing",
                    fix=f"fill it, or remove `{name}`",
                )


class ExtensionProvider(Model):
    """The provider that decides for a CUSTOM policy."""

    name: NonEmpty = Field(description="Name of an extension provider in the mesh configuration.")


class AuthorizationPolicy(Model):
    """Who may (ALLOW) or may not (DENY) do what with a workload, a namespace or the mesh."""

    selector: PolicySelector | None = Field(None, description="Workloads; all of the namespace without it.")
    target_ref: PolicyTargetReference | None = Field(None, description="Deprecated: see targetRefs.")
    target_refs: tuple[PolicyTargetReference, ...] = Field((), description="Objects the policy is attached to.")
    rules: tuple[Rule, ...] = Field((), description="Alternatives. None at all match nothing: ALLOW then denies all.")
    action: Action = Field(Action.ALLOW, description="ALLOW (the default), DENY, AUDIT or CUSTOM.")
    provider: ExtensionProvider | None = Field(None, description="Who decides for CUSTOM.")

    def check(self) -> Iterator[Mistake]:
        """CUSTOM has a provider, and what matches nothing says so."""
        yield from target_mistakes(self.selector, self.target_ref, self.target_refs)
        if self.action is Action.CUSTOM and self.provider is None:
            yield Mistake(path=("provider",), message="CUSTOM needs a provider", fix="add provider.name")
        if self.provider is not None and self.action is not Action.CUSTOM:
            yield Mistake(
                path=("provider",), message=f"{self.action} has no provider", fix="remove it, or write action: CUSTOM"
            )
        if self.action in {Action.DENY, Action.CUSTOM} and not self.rules:
            yield Mistake(
                path=("rules",),
                message=f"a {self.action} policy without rules matches nothing",
                fix="add rules; `- {}` matches every request",
            )
        if self.action is Action.CUSTOM:
            yield from self._check_custom()

    def _check_custom(self) -> Iterator[Mistake]:
        """The decision is taken before tokens are verified and identities are known."""
        for index, rule in enumerate(self.rules):
            for position, item in enumerate(rule.from_):
                for name in ("namespaces", "principals", "request_principals"):
                    for field in (name, f"not_{name}"):
                        if getattr(item.source, field):
                            alias = str(type(item.source).model_fields[field].alias)
                            yield Mistake(
                                path=("rules", index, "from", position, "source", alias),
                                message=f"{alias} cannot be used with CUSTOM",
                                fix="use ipBlocks, or a separate ALLOW or DENY policy",
                            )
            for position, condition in enumerate(rule.when):
                if condition.key in _UNKNOWN_TO_CUSTOM or condition.key.startswith("request.auth."):
                    yield Mistake(
                        path=("rules", index, "when", position, "key"),
                        message=f"{condition.key} cannot be used with CUSTOM",
                        fix="use a separate ALLOW or DENY policy",
                    )


def _wildcard_mistakes(field: str, values: Sequence[str]) -> Iterator[Mistake]:
    """A `*` compares as a wildcard at one end only; elsewhere it would be taken literally, which nobody means."""
    for index, value in enumerate(values):
        if value != "*" and ("*" in value[1:-1] or (value[0] == value[-1] == "*")):
            yield Mistake(
                path=(field, index),
                severity=Severity.WARNING,
                code=Code.SCHEMA_WARNING,
                message=f"in `{value}` a `*` stands elsewhere than at one end, where it is taken literally",
                fix="write prefix* or *suffix",
            )


def _key_fix(key: str) -> str:
    if key.startswith("request.headers"):
        return "write request.headers[name-of-header]"
    if key.startswith("request.auth.claims"):
        return "write request.auth.claims[name]"
    return f"write one of {', '.join(CONDITION_KEYS)}, request.headers[…], request.auth.claims[…]"

"""The base of all models of mesh resources, and the messages that several kinds share."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from weft_core.model.frozen import EMPTY
from weft_core.model.mistake import Mistake, Path
from weft_core.model.regex import regex_error
from weft_core.model.scalars import Labels, NonEmpty, PercentNumber, PortNumber
from weft_core.problems import Code, Severity

_SHOWN = 16
"""Names of known fields that a message lists at most."""


class Model(BaseModel):
    """A message of the mesh API: immutable, hashable, compared deeply, unknown fields refused.

    Types, ranges and formats are pydantic's affair. Rules that span fields are yielded by `check`, so that all
    mistakes of an object are told at once and the milder ones can be warnings. Fields are snake_case here and
    camelCase in YAML.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
    )

    def check(self) -> Iterator[Mistake]:
        """Mistakes that only several fields together show. Paths are relative to this message."""
        return iter(())

    def mistakes(self, prefix: Path = ()) -> Iterator[Mistake]:
        """All mistakes of this message and of those inside it, with paths below `prefix`."""
        for mistake in self.check():
            yield mistake.below(prefix)
        set_ = self.model_fields_set
        for name, field in type(self).model_fields.items():
            if name in set_ and isinstance(value := getattr(self, name), (Model, tuple, Mapping)):
                yield from _mistakes_in(value, (*prefix, field.alias or name))


def _mistakes_in(value: object, prefix: Path) -> Iterator[Mistake]:
    if isinstance(value, Model):
        yield from value.mistakes(prefix)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _mistakes_in(item, (*prefix, index))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _mistakes_in(item, (*prefix, str(key)))


class OpenModel(Model):
    """A message that also takes fields which Weft knows of and does not act upon: each is named in a warning.

    Fields that nobody knows remain errors. Used for MeshConfig, where one unsupported setting must not undo the others.
    """

    model_config = ConfigDict(extra="allow")

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset()
    """camelCase names of the fields without effect; of those that are declared all the same, the content is checked."""

    def check(self) -> Iterator[Mistake]:
        """A warning for each unsupported field that is set, an error for each unknown one."""
        fields = type(self).model_fields
        declared = [fields[name].alias or name for name in fields if name in self.model_fields_set]
        for name in (*declared, *(self.model_extra or ())):
            if name in self.UNSUPPORTED:
                yield unsupported_field(name)
            elif name not in declared:
                yield unknown_field(type(self), name)


def one_of(model: Model, *names: str) -> list[str]:
    """Which of the fields `names` are set, in YAML's spelling."""
    fields = type(model).model_fields
    return [fields[n].alias or n for n in names if getattr(model, n) is not None]


def too_many(found: list[str], path: Path = ()) -> Iterator[Mistake]:
    """A mistake where more than one of a set of exclusive fields is set."""
    if len(found) > 1:
        yield Mistake(
            path=path,
            message=f"{' and '.join(found)} exclude each other",
            fix=f"keep one of {', '.join(found)}",
        )


class StringMatch(Model):
    """How a text is compared: with one of exact, prefix and regex. None of them: the text has only to be there."""

    EMPTY_PREFIX: ClassVar[bool] = False
    """Whether Envoy takes an empty prefix here, which every text has."""

    exact: str | None = Field(None, description="The whole text.")
    prefix: str | None = Field(None, description="The text's beginning.")
    regex: str | None = Field(None, description="A regular expression (RE2) for the whole text.")

    def check(self) -> Iterator[Mistake]:
        """At most one matcher, and a regular expression that Envoy takes (`*` is Istio's word for presence)."""
        yield from too_many(one_of(self, "exact", "prefix", "regex"))
        for name in ("regex",) if self.EMPTY_PREFIX else ("prefix", "regex"):
            if getattr(self, name) == "":
                yield Mistake(path=(name,), message="it is empty", fix="write a value, or remove it")
        if self.regex and self.regex != "*":
            yield from regex_mistakes(self.regex, ("regex",))

    @property
    def is_present_match(self) -> bool:
        """Whether it asks for nothing but presence."""
        return self.exact is None and self.prefix is None and self.regex in {None, "*"}


def regex_mistakes(pattern: str, path: Path) -> Iterator[Mistake]:
    """A mistake where RE2 refuses `pattern`."""
    if reason := regex_error(pattern):
        yield Mistake(
            path=path,
            message=f"`{pattern}` is not a regular expression of RE2: {reason}",
            fix="write it in RE2's syntax, which has no look-around and no back-references",
        )


class PortSelector(Model):
    """A service's port, by number."""

    number: PortNumber = Field(description="Port number of the service.")


class Percent(Model):
    """A share of requests."""

    value: PercentNumber = Field(0.0, description="Per cent, 0 to 100, with fractions.")


class WorkloadSelector(Model):
    """Workloads of the networking kinds, by their labels."""

    labels: Labels = Field(EMPTY, description="Labels that a pod must have, all of them.")

    def check(self) -> Iterator[Mistake]:
        """Label selectors compare literally: wildcards are mistakes. One without labels selects everything."""
        yield from selector_mistakes(self.labels, "labels")
        yield from _selects_all(self.labels)


class PolicySelector(Model):
    """Workloads of the security kinds, by their labels."""

    match_labels: Labels = Field(EMPTY, description="Labels that a pod must have, all of them.")

    def check(self) -> Iterator[Mistake]:
        """Label selectors compare literally: wildcards are mistakes. One without labels selects everything."""
        yield from selector_mistakes(self.match_labels, "matchLabels")
        yield from _selects_all(self.match_labels)


def selector_mistakes(labels: Mapping[str, str], field: str) -> Iterator[Mistake]:
    """Mistakes of a label selector: an empty key, or a wildcard, which would be compared literally."""
    for key, value in labels.items():
        if not key:
            yield Mistake(path=(field,), message="a label has an empty key", fix="name the label")
        if "*" in key or "*" in value:
            yield Mistake(
                path=(field, key),
                message="label selectors have no wildcards",
                fix="write the label's exact value, or leave the selector out to select every workload",
            )


def _selects_all(labels: Mapping[str, str]) -> Iterator[Mistake]:
    if not labels:
        yield Mistake(
            severity=Severity.WARNING,
            code=Code.SCHEMA_WARNING,
            message="the selector has no labels, so it selects everything in the namespace",
            fix="add labels, or remove the selector",
        )


_TARGET_GROUPS = {
    "Gateway": "gateway.networking.k8s.io",
    "GatewayClass": "gateway.networking.k8s.io",
    "Service": "",
    "ServiceEntry": "networking.istio.io",
}
"""The API groups of the kinds that policies are attached to. Left out, the kind decides."""


class PolicyTargetReference(Model):
    """An object that a policy is attached to (Gateway, Service, ServiceEntry …)."""

    group: str = Field("", description="API group of the target; empty for core.")
    kind: NonEmpty = Field(description="Kind of the target.")
    name: NonEmpty = Field(description="Name of the target.")
    namespace: str = Field("", description="Must be empty: targets are in the policy's own namespace.")

    def check(self) -> Iterator[Mistake]:
        """The target is where and what Istio lets it be: anything else would protect another object than is meant."""
        if self.namespace:
            yield Mistake(
                path=("namespace",),
                message="a policy's targets are in its own namespace",
                fix="remove it, and put the policy into the target's namespace",
            )
        if self.kind not in _TARGET_GROUPS:
            yield Mistake(
                path=("kind",),
                message=f"policies are attached to no {self.kind}",
                fix=f"write one of {', '.join(_TARGET_GROUPS)}",
            )
            return
        group = _TARGET_GROUPS[self.kind]
        if self.group not in ("", group or "core"):
            yield Mistake(
                path=("group",),
                message=f"policies are attached to no {self.kind} of {self.group}",
                fix=f"write {group}" if group else "remove it",
            )


def same_names(names: list[str], path: Path, field: str, what: str) -> Iterator[Mistake]:
    """A mistake for each repeated name in the list at `path`."""
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in seen:
            yield Mistake(
                path=(*path, index, field),
                message=f"{what} `{name}` is already defined at {path[-1]}[{seen[name]}]",
                fix="rename or remove one of them",
            )
        else:
            seen[name] = index


def field_names(model: type[Model]) -> list[str]:
    """The names that a message knows, in YAML's spelling."""
    names = [field.alias or name for name, field in model.model_fields.items()]
    return names + sorted(model.UNSUPPORTED.difference(names)) if issubclass(model, OpenModel) else names


def nearest(word: str, known: list[str]) -> str | None:
    """The known word that `word` most likely is a slip of, in any case and with or without underscores."""
    plain = {k.lower(): k for k in known}
    found = get_close_matches(word.replace("_", "").replace("-", "").lower(), plain, n=1, cutoff=0.75)
    return plain[found[0]] if found else None


def unsupported_field(name: str) -> Mistake:
    """The warning for a field that is read and not acted upon."""
    return Mistake(
        path=(name,),
        severity=Severity.WARNING,
        code=Code.UNSUPPORTED_FIELD,
        message=f"Weft does not support `{name}` yet; it has no effect",
        fix="remove it, or do not rely on it",
    )


def unknown_field(model: type[Model], name: str) -> Mistake:
    """The mistake for a field that `model` does not know, with the name that was probably meant."""
    names = field_names(model)
    guess = nearest(name, names)
    shown = ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
    fix = f"write `{guess}`" if guess else f"remove it; known here are {shown}"
    return Mistake(path=(name,), message=f"unknown field `{name}`", fix=fix)

"""The annotation with which an AuthorizationPolicy is tried out: what it would do is recorded, and not done."""

from collections.abc import Iterator, Mapping
from typing import Final

from weft_core.model.authorization_policy import DRY_RUN_ANNOTATION, Action, AuthorizationPolicy
from weft_core.model.base import Model
from weft_core.model.mistake import Mistake
from weft_core.model.peer_authentication import PeerAuthentication
from weft_core.model.request_authentication import RequestAuthentication
from weft_core.problems import Code, Severity

TRUE: Final = frozenset({"1", "t", "T", "true", "True", "TRUE"})
"""What Go's parser, and so Istio, reads as true."""
_FALSE: Final = frozenset({"0", "f", "F", "false", "False", "FALSE"})
_PATH: Final = ("metadata", "annotations", DRY_RUN_ANNOTATION)


def is_trial(annotations: Mapping[str, str]) -> bool:
    """Whether the policy is only tried out."""
    return annotations.get(DRY_RUN_ANNOTATION) in TRUE


def dry_run_mistakes(spec: Model, annotations: Mapping[str, str]) -> Iterator[Mistake]:
    """What is wrong with the annotation: it must not be doubtful whether a policy is in force."""
    value = annotations.get(DRY_RUN_ANNOTATION)
    if value is None:
        return
    if isinstance(spec, AuthorizationPolicy):
        if value not in TRUE | _FALSE:
            yield Mistake(path=_PATH, message=f"`{value}` is neither true nor false", fix='write "true", or remove it')
        elif spec.action not in {Action.ALLOW, Action.DENY}:
            yield Mistake(path=_PATH, message=f"action {spec.action} cannot be tried out", fix="remove it")
    elif isinstance(spec, PeerAuthentication | RequestAuthentication):
        yield Mistake(
            path=_PATH,
            severity=Severity.WARNING,
            code=Code.UNSUPPORTED_FIELD,
            message="only AuthorizationPolicies can be tried out: this is in force",
            fix="remove the annotation",
        )

"""The schema of `status`: what the control plane found out about an object, the same for every kind.

Conditions have the shape of Kubernetes' own (metav1.Condition), which `kubectl wait --for=condition=Programmed` reads.
`validationMessages` has that of Istio's, so that whoever reads those finds the codes in their usual place.

The schema takes whatever Istio writes: an object whose stored status were invalid could not be changed any more, and
while a mesh moves from one control plane to the other both write. Fields of others are kept.
"""

from typing import Any

from weft_core.problems import Severity

Schema = dict[str, Any]

LEVELS = tuple(severity.value.upper() for severity in Severity)
"""What `level` of a validation message is, the worst first."""
_GENERATION: Schema = {"x-kubernetes-int-or-string": True}
"""A number as Weft writes it, or text: that is how protobuf, and so Istio, writes 64 bits as JSON."""


def status_schema() -> Schema:
    """The schema of `status`."""
    return {
        "description": "What the control plane found out about the object. Written by Weft.",
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {
            "conditions": {
                "description": "Accepted: it is well-formed and in force. ResolvedRefs: all that it names exists. "
                "Programmed: the proxies that need it have taken it.",
                "type": "array",
                "items": _condition(),
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
            "observedGeneration": {
                "description": "The generation of the spec that this status is about.",
                **_GENERATION,
            },
            "validationMessages": {
                "description": "What is wrong with the object, worst first.",
                "type": "array",
                "items": _message(),
            },
        },
    }


def _condition() -> Schema:
    return {
        "description": "One aspect of the object's state.",
        "type": "object",
        # Weft writes them all; conditions that another controller left behind must not stop it from doing so.
        "required": ["type", "status"],
        "properties": {
            "type": {
                "description": "Which aspect: Accepted, ResolvedRefs, Programmed.",
                "type": "string",
                "maxLength": 316,
            },
            "status": {
                "description": "Whether it holds.",
                "type": "string",
                "enum": ["True", "False", "Unknown"],
            },
            "reason": {
                "description": "Why, in one word for programs.",
                "type": "string",
                "maxLength": 1024,
            },
            "message": {"description": "Why, in words for people.", "type": "string", "maxLength": 32768},
            "lastTransitionTime": {
                "description": "When `status` last changed.",
                "type": "string",
                "format": "date-time",
            },
            "lastProbeTime": {
                "description": "When others last looked. Weft does not write it.",
                "type": "string",
                "format": "date-time",
            },
            "observedGeneration": {
                "description": "The generation of the spec that this condition is about.",
                **_GENERATION,
            },
        },
    }


def _message() -> Schema:
    return {
        "description": "One finding.",
        "type": "object",
        "properties": {
            "type": {
                "description": "Which finding it is.",
                "type": "object",
                "properties": {
                    "code": {"description": "Code of the finding: IST0101, WEFT0004 …", "type": "string"},
                    "name": {"description": "Name of the finding, for people.", "type": "string"},
                },
            },
            "level": {"description": "How bad it is.", "type": "string", "enum": [*LEVELS, "UNKNOWN"]},
            "path": {"description": "The field: spec.http[0].route[1].weight.", "type": "string"},
            "message": {"description": "What is wrong there.", "type": "string"},
            "fix": {"description": "What to write instead.", "type": "string"},
            "documentationUrl": {"description": "Where to read more.", "type": "string"},
        },
    }

"""One CustomResourceDefinition for each kind, as the chart carries it."""

from collections.abc import Iterator
from typing import Any, Final

import yaml

from weft_core.model.base import Model
from weft_core.model.kinds import MESH_KINDS, Kind
from weft_operator.crds.columns import columns
from weft_operator.crds.schema import Schema, structural
from weft_operator.crds.status import status_schema

_HEADER: Final = "# Generated from the models by `make crds`. Do not edit.\n"
_CATEGORIES: Final = ("istio-io", "weft")
"""`kubectl get weft` lists all of the mesh's objects, and so does the category that Istio's users know.

Those of one group have a category more: `kubectl get security-istio-io`.
"""


def definitions() -> dict[str, dict[str, Any]]:
    """File name → definition, for every kind that Weft acts upon. A kind without effect gets no definition."""
    return {file_name(kind): definition(kind) for kind in MESH_KINDS}


def file_name(kind: Kind) -> str:
    """`networking.istio.io_virtualservices.yaml`."""
    return f"{kind.group}_{kind.plural}.yaml"


def definition(kind: Kind) -> dict[str, Any]:
    """The definition of a kind. Every version that Weft reads is served; the preferred one is stored."""
    names: dict[str, Any] = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.kind.lower(),
        "categories": [*_CATEGORIES, kind.group.replace(".", "-")],
    }
    if kind.short_names:
        names["shortNames"] = list(kind.short_names)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{kind.group}",
            "labels": {"app.kubernetes.io/part-of": "weft"},
        },
        "spec": {
            "group": kind.group,
            "names": names,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "conversion": {"strategy": "None"},
            "versions": list(_versions(kind)),
        },
    }


def _versions(kind: Kind) -> Iterator[dict[str, Any]]:
    schema = _object_schema(kind)
    for index, version in enumerate(kind.versions):
        yield {
            "name": version,
            "served": True,
            "storage": index == 0,
            "additionalPrinterColumns": columns(kind),
            "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": schema},
        }


def _object_schema(kind: Kind) -> Schema:
    if not issubclass(kind.model, Model):
        raise TypeError(f"{kind.kind} is not of the mesh")
    spec = structural(kind.model)
    found: Schema = {
        "description": spec["description"],
        "type": "object",
        "properties": {"spec": spec, "status": status_schema()},
    }
    if "required" in spec:
        found["required"] = ["spec"]
    else:
        spec["nullable"] = True  # the models read a bare `spec:` as an empty one
    return found


class _Dumper(yaml.SafeDumper):
    """Writes a schema that occurs three times three times: not every reader of YAML knows aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_yaml(document: dict[str, Any]) -> str:
    """A definition as the file's text."""
    return _HEADER + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)

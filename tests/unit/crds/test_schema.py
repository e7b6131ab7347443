"""The schemas: what of the models they say, and that the API server's rules for structural schemas hold."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

import pytest
from pydantic import Field

from weft_core.model.base import Model, field_names
from weft_core.model.kinds import MESH_KINDS, Kind
from weft_core.model.peer_authentication import PeerAuthentication
from weft_core.model.shape import fields_of, item_of
from weft_operator.crds import definition
from weft_operator.crds.schema import structural

KEYWORDS = {
    "description", "type", "format", "enum", "pattern", "nullable", "required", "properties", "items",
    "additionalProperties", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties",
    "maxProperties", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-int-or-string",
}  # fmt: skip
"""What may stand in a structural schema without a second thought."""

OLDER_SPELLINGS = {
    "VirtualService": {".http[].mirror_percent"},
    "RequestAuthentication": {".jwtRules[].jwks_uri"},
}
"""Names with which Istio's API began, and which its definitions still have."""

mesh_kinds = pytest.mark.parametrize("kind", MESH_KINDS, ids=lambda kind: kind.kind)


def schema_of(kind: Kind) -> dict[str, Any]:
    [schema] = {
        id(s): s for s in (v["schema"]["openAPIV3Schema"] for v in definition(kind)["spec"]["versions"])
    }.values()
    return dict(schema)


def nodes(schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All schemas inside of a schema, with their paths."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from nodes(schema["additionalProperties"], f"{path}.*")


def fields(kind: Any, path: str = "") -> Iterator[str]:
    """The paths of all fields of a model, in the notation of `nodes`."""
    if (item := item_of(kind)) is not None:
        yield from fields(item, f"{path}[]")
    elif isinstance(get_origin(kind), type) and issubclass(get_origin(kind), Mapping):
        yield from fields(get_args(kind)[1], f"{path}.*")
    elif isinstance(kind, type) and issubclass(kind, Model):
        for name, child in fields_of(kind).items():
            yield f"{path}.{name}"
            yield from fields(child, f"{path}.{name}")
        yield from (f"{path}.{name}" for name in set(field_names(kind)) - fields_of(kind).keys())


@mesh_kinds
def test_every_field_of_the_model_is_in_the_schema_and_no_other(kind: Kind) -> None:
    spec = schema_of(kind)["properties"]["spec"]
    named = {f"{path}.{name}" for path, node in nodes(spec) for name in node.get("properties", {})}
    assert named == set(fields(kind.model)) | OLDER_SPELLINGS.get(kind.kind, set())


@mesh_kinds
def test_every_field_and_every_message_is_described(kind: Kind) -> None:
    for path, node in nodes(schema_of(kind)):
        for name, child in node.get("properties", {}).items():
            assert child.get("description"), f"{path}.{name}"
        if node.get("type") == "object":
            assert node.get("description"), path


@mesh_kinds
def test_schemas_are_structural(kind: Kind) -> None:
    """The rules that the API server checks before a definition becomes Established."""
    for path, node in nodes(schema_of(kind)):
        assert node.keys() <= KEYWORDS, path
        if not {"x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string"} & node.keys():
            assert node["type"] in {"object", "array", "string", "integer", "number", "boolean"}, path
        assert ("items" in node) is (node.get("type") == "array"), path
        assert not {"properties", "additionalProperties"} <= node.keys(), path
        assert set(node.get("required", ())) <= node.get("properties", {}).keys(), path


def test_limits_and_words_of_the_models_are_said() -> None:
    by_kind = {kind.kind: kind for kind in MESH_KINDS}
    spec = schema_of(by_kind["ServiceEntry"])["properties"]["spec"]
    assert spec["required"] == ["hosts"]
    assert spec["properties"]["hosts"]["minItems"] == 1
    assert spec["properties"]["location"]["enum"] == ["MESH_EXTERNAL", "MESH_INTERNAL"]
    port = spec["properties"]["ports"]["items"]
    assert port["required"] == ["number", "name"]
    assert port["properties"]["number"] == {
        "description": "Port that callers use.",
        "type": "integer",
        "format": "int32",
        "minimum": 1,
        "maximum": 65535,
    }
    http = schema_of(by_kind["VirtualService"])["properties"]["spec"]["properties"]["http"]["items"]["properties"]
    assert http["route"]["items"]["properties"]["weight"]["format"] == "int64"
    assert http["timeout"]["pattern"].startswith("^")
    assert http["mirrorPercentage"]["properties"]["value"]["format"] == "double"


def test_fields_without_effect_are_kept_with_whatever_is_below_them() -> None:
    """The API server would refuse them as unknown, where the webhook only warns."""
    [kind] = [kind for kind in MESH_KINDS if kind.kind == "DestinationRule"]
    policy = schema_of(kind)["properties"]["spec"]["properties"]["trafficPolicy"]["properties"]
    http = policy["connectionPool"]["properties"]["http"]["properties"]
    for field in (policy["loadBalancer"]["properties"]["zoneAwareLbSetting"], http["http2KeepAlive"]):
        assert field["x-kubernetes-preserve-unknown-fields"] is True
        assert field["nullable"] is True


def test_the_api_server_writes_no_defaults() -> None:
    """A mode that is not written inherits, and one that the server wrote would not."""
    mode = structural(PeerAuthentication)["properties"]["mtls"]["properties"]["mode"]
    assert mode["enum"] == ["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]
    assert "default" not in mode


def test_spec_may_be_left_out_where_the_model_demands_nothing() -> None:
    by_kind = {kind.kind: schema_of(kind) for kind in MESH_KINDS}
    assert by_kind["Gateway"]["required"] == ["spec"]
    assert "required" not in by_kind["AuthorizationPolicy"]
    assert by_kind["AuthorizationPolicy"]["properties"]["spec"]["nullable"] is True


def test_what_a_structural_schema_cannot_say_is_an_error_when_it_is_generated() -> None:
    class Either(Model):
        """One or the other."""

        value: int | str = Field(description="A number or a text.")

    class Tree(Model):
        """A message in itself."""

        children: tuple["Tree", ...] = Field((), description="More of it.")

    with pytest.raises(ValueError, match=r"Either\.value: a structural schema has no anyOf"):
        structural(Either)
    Tree.model_rebuild(_types_namespace={"Tree": Tree})
    with pytest.raises(ValueError, match=r"Tree\.children\[\]: Tree contains itself"):
        structural(Tree)


@mesh_kinds
def test_a_field_without_value_is_kept_for_the_webhook_to_refuse(kind: Kind) -> None:
    """The API server would drop it otherwise, and a policy's `from:` with nothing behind it would mean everybody."""
    for path, node in nodes(schema_of(kind)["properties"]["spec"]):
        for name, child in node.get("properties", {}).items():
            assert child.get("nullable", False) is (name not in node.get("required", ())), f"{path}.{name}"
        if "additionalProperties" in node:
            assert node["additionalProperties"]["nullable"], path

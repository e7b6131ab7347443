"""A pydantic model as a structural schema, the form of OpenAPI v3 that the API server demands of custom resources.

pydantic writes JSON Schema; what is left to do is small:

- `$ref` is written out, because structural schemas have no references;
- every field that may be left out is nullable. The API server would drop a field without value (`from:` with nothing
  behind it) before anybody sees it, and the rule would match more than its author wrote. So it is let through, and
  refused with its path by the webhook; where there is no webhook, the operator refuses the object as a whole;
- defaults are left out. The API server would write them into every stored object, and then nobody could tell any more
  what its author wrote: an absent `mtls.mode` inherits, a written one does not;
- `additionalProperties: false` is left out, as it must be. Fields that are not in the schema are refused by the API
  server where the client asks for strict validation, as kubectl does, and cut off with a warning otherwise;
- so fields of Istio's without effect in Weft are in the schema, with whatever is below them: they are kept as they
  are written, and it is the webhook that tells their author. Older spellings of a field stand beside it.

Whatever else pydantic may come to write is an error here, so that no rule of a model gets lost unseen.
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import AliasChoices
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from weft_core.model.base import Model, OpenModel

Schema = dict[str, Any]

_KEPT: Final = (
    "description", "type", "format", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength",
    "minItems", "maxItems", "minProperties", "maxProperties", "required", "x-kubernetes-preserve-unknown-fields",
)  # fmt: skip
"""Keywords that mean the same in both, in the order in which they are written."""
_SAID_ELSEWHERE: Final = frozenset({"title", "propertyNames"})
"""Keywords that a structural schema does not have, and nobody misses: the webhook checks the names of map entries."""
_NESTED: Final = frozenset({"properties", "items", "additionalProperties", "$defs"})
_INT32_MAX: Final = 2**31 - 1
_WITHOUT_EFFECT: Final = {
    "description": "Accepted and without effect.",
    "x-kubernetes-preserve-unknown-fields": True,
}


class _Generator(GenerateJsonSchema):
    """pydantic's generator, with the formats of Kubernetes, and without `anyOf: [X, null]` and defaults."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        found = super().int_schema(schema)
        return found | {"format": "int32" if found.get("maximum", _INT32_MAX + 1) <= _INT32_MAX else "int64"}

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        found = super().model_schema(schema)
        model = schema["cls"]
        properties = found.setdefault("properties", {})
        for field in model.model_fields.values():
            if isinstance(field.validation_alias, AliasChoices):
                name, *others = (str(choice) for choice in field.validation_alias.choices)
                properties |= dict.fromkeys(others, properties[name])
        if issubclass(model, OpenModel):
            properties |= {name: dict(_WITHOUT_EFFECT) for name in sorted(model.UNSUPPORTED - properties.keys())}
        return found

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        return super().float_schema(schema) | {"format": "double"}


def structural(model: type[Model]) -> Schema:
    """The structural schema of a message. Raises ValueError where a model uses what such a schema cannot say."""
    document = model.model_json_schema(schema_generator=_Generator)
    return _structural(document, document.get("$defs", {}), model.__name__)


def _structural(schema: Mapping[str, Any], defs: Mapping[str, Any], where: str) -> Schema:
    if reference := schema.get("$ref"):
        name = reference.removeprefix("#/$defs/")
        if name not in defs:
            raise ValueError(f"{where}: {name} contains itself, and structural schemas end somewhere")
        # A field's own description wins over that of the message.
        schema = {**defs[name], **{key: value for key, value in schema.items() if key != "$ref"}}
        defs = {key: value for key, value in defs.items() if key != name}
    if unknown := schema.keys() - _NESTED - _SAID_ELSEWHERE - set(_KEPT):
        raise ValueError(f"{where}: a structural schema has no {', '.join(sorted(unknown))}")
    found: Schema = {name: schema[name] for name in _KEPT if name in schema}
    if "properties" in schema:
        required = schema.get("required", ())
        found["properties"] = {
            name: _structural(child, defs, f"{where}.{name}") | ({} if name in required else {"nullable": True})
            for name, child in schema["properties"].items()
        }
    if "items" in schema:
        found["items"] = _structural(schema["items"], defs, f"{where}[]")
    if isinstance(schema.get("additionalProperties"), Mapping):
        value = _structural(schema["additionalProperties"], defs, f"{where}.*")
        found["additionalProperties"] = value | {"nullable": True}
    return found

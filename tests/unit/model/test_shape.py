"""Hints read the shape of the models themselves."""

import pytest

from weft_core.model.authorization_policy import AuthorizationPolicy, Source
from weft_core.model.base import Model, StringMatch
from weft_core.model.http_route import HTTPRoute
from weft_core.model.kinds import MESH_KINDS, Kind
from weft_core.model.shape import levels_of, model_at, type_at
from weft_core.model.virtual_service import VirtualService


def test_messages_are_found_by_path() -> None:
    assert model_at(VirtualService, ("http", 3)) is HTTPRoute
    assert model_at(VirtualService, ("http", 0, "match", 1, "headers", "end-user")) is StringMatch
    assert model_at(AuthorizationPolicy, ("rules", 0, "from", 0, "source")) is Source
    assert model_at(VirtualService, ("http",)) is None
    assert type_at(VirtualService, ("nowhere", "at", "all")) is None


def test_levels_are_nearest_first_and_forgive_plurals() -> None:
    assert levels_of(VirtualService, "timeout") == (("http", "[]", "timeout"),)
    assert levels_of(AuthorizationPolicy, "path")[0] == ("rules", "[]", "to", "[]", "operation", "paths")
    assert levels_of(AuthorizationPolicy, "banana") == ()


@pytest.mark.parametrize("kind", MESH_KINDS, ids=lambda kind: kind.kind)
def test_every_field_has_a_description_of_its_own(kind: Kind) -> None:
    assert isinstance(kind.model, type)
    assert issubclass(kind.model, Model)
    todo: list[type[Model]] = [kind.model]
    seen: set[type[Model]] = set()
    while todo:
        model = todo.pop()
        if model in seen:
            continue
        seen.add(model)
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
            steps = (field.alias or name,)
            todo.extend(found for path in (steps, (*steps, 0)) if (found := model_at(model, path)))

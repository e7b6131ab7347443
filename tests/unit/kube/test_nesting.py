"""JSON that is too deep for Python's parsers."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_kube import nesting
from weft_kube.nesting import DEEPEST, shallow

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=20,
)


def cut(value: Any, depth: int) -> Any:
    if not isinstance(value, dict | list):
        return value
    if depth == 0:
        return None
    if isinstance(value, list):
        return [cut(each, depth - 1) for each in value]
    return {key: cut(each, depth - 1) for key, each in value.items()}


@given(VALUES, st.integers(min_value=1, max_value=4))
def test_what_is_below_the_deepest_level_is_null_and_all_else_as_it_was(value: Any, deepest: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nesting, "DEEPEST", deepest)
        assert json.loads(shallow(json.dumps(value).encode())) == cut(value, deepest)


@pytest.mark.parametrize("levels", [DEEPEST, 1_500, 9_000])
def test_what_stands_beside_a_deep_value_is_readable(levels: int) -> None:
    deep = b'{"a":' * levels + b"1" + b"}" * levels
    page = b'{"items":[{"status":' + deep + b'},{"spec":{"hosts":["]}\\"{["]}}]}'
    assert msgspec.json.decode(shallow(page))["items"][1] == {"spec": {"hosts": [']}"{[']}}


@pytest.mark.parametrize("text", [b"", b"]]]", b'{"a', b"<html>"])
def test_what_is_no_json_stays_none(text: bytes) -> None:
    assert shallow(text) == text

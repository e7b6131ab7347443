"""RFC 6902 operations: applied, they give the other document; small changes make small patches."""

from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_injector.patch.json_patch import difference

_SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", "b/c", "d~e"])
_KEYS = st.sampled_from(["name", "a", "b/c", "d~1e", ""])
_NAMED = st.lists(st.fixed_dictionaries({"name": st.sampled_from("abcd")}, optional={"x": _SCALARS}), max_size=4)
DOCUMENTS = st.recursive(
    _SCALARS | _NAMED,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)


def _typed(value: Any) -> Any:
    """A form in which true and 1 differ, as in JSON."""
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    return (type(value).__name__, value)


@given(before=DOCUMENTS, after=DOCUMENTS)
def test_a_patch_makes_one_document_of_the_other(before: Any, after: Any) -> None:
    patched = jsonpatch.apply_patch({"d": before}, list(difference({"d": before}, {"d": after})))
    assert _typed(patched) == _typed({"d": after})


@given(DOCUMENTS)
def test_no_change_is_no_patch(document: Any) -> None:
    assert list(difference(document, document)) == []


@pytest.mark.parametrize(
    ("before", "after", "paths"),
    [
        ({"a/b": 1}, {"a/b": 2}, ["/a~1b"]),
        ([{"name": "a"}], [{"name": "x"}, {"name": "a", "y": 1}], ["/0", "/1/y"]),
        ([{"name": "a"}, {"name": "b"}], [{"name": "b"}], ["/0"]),
        ([{"name": "a"}, {"name": "b"}], [{"name": "b"}, {"name": "a"}], [""]),
        ([1, 2], [1, 2, 3], ["/-"]),
        ([1, 2], [1, 3], ["/1"]),
        ({"a": 1}, {"a": True}, ["/a"]),
        ({"a": None}, {}, ["/a"]),
    ],
)
def test_only_what_differs_is_named(before: Any, after: Any, paths: list[str]) -> None:
    assert [operation["path"] for operation in difference(before, after)] == paths

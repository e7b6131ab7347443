"""YAML: documents with lines, malformed parts told and left out, values as Kubernetes reads them."""

# ruff: noqa: E501  (tables of YAML read best with a case on a line)

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_core.load.yaml import load
from weft_core.problems import Code, ObjectRef

TWO = """\
# a comment
kind: A
metadata:
  name: a
---

kind: B
spec:
  http:
  - route:
    - destination:
        host: r
    timeout: 1s
"""


def values(text: str) -> list[Any]:
    loaded = load(text, "a.yaml")
    assert loaded.problems == ()
    return [d.value for d in loaded.documents]


def test_documents_know_their_file_and_first_line() -> None:
    loaded = load(TWO, "a.yaml")
    assert [(d.value["kind"], d.source.file, d.source.line) for d in loaded.documents] == [
        ("A", "a.yaml", 2),
        ("B", "a.yaml", 7),
    ]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 7),
        (("spec",), 8),
        (("spec", "http", 0), 10),
        (("spec", "http", 0, "route", 0, "destination", "host"), 12),
        (("spec", "http", 0, "timeout"), 13),
        (("spec", "http", 0, "retries", "attempts"), 10),
        (("spec", "http", 5), 9),
    ],
)
def test_fields_know_their_lines_and_missing_ones_that_of_the_field_above(path: tuple[Any, ...], line: int) -> None:
    assert load(TWO, "a.yaml").documents[1].line_of(path) == line


@pytest.mark.parametrize(
    "text", ["", "\n\n", "---\n---\n", "# nothing\n--- # still nothing\n...\n", "%YAML 1.1\n---\n", "\ufeff"]
)
def test_empty_documents_are_left_out(text: str) -> None:
    assert values(text) == []


def test_a_document_may_begin_on_the_line_of_its_marker() -> None:
    assert values("--- {a: 1}\n--- !!map\nb: 2\n--- # comment\nc: 3\n...\n") == [{"a": 1}, {"b": 2}, {"c": 3}]


def test_windows_line_ends_and_a_byte_order_mark() -> None:
    loaded = load("\ufeffa: 1\r\n---\r\nb: 2\r\n", "a.yaml")
    assert [(d.value, d.source.line) for d in loaded.documents] == [({"a": 1}, 1), ({"b": 2}, 3)]


@pytest.mark.parametrize(
    ("text", "line", "fix"),
    [
        ("a: 1\n\tb: 2\n", 2, "spaces"),
        ("a: b: c\n", 1, "quotes"),
        ("a:\n  b: 1\n c: 2\n", 3, "align"),
        ("a: [1, 2\nb: 3\n", 2, "close"),
        ("a: 'open\n", 1, "close"),
        ("a: *star\n", 1, "begins with *"),
        ("a: @at\n", 1, "quotes"),
        ("a: \x00\n", 1, "check"),
    ],
)
def test_malformed_yaml_names_the_line_and_what_to_do(text: str, line: int, fix: str) -> None:
    loaded = load("kind: Before\n---\n" + text + "---\nkind: Behind\n", "a.yaml")
    [problem] = loaded.problems
    assert problem.code == Code.MALFORMED_YAML
    assert (problem.source.file, problem.source.line) == ("a.yaml", 2 + line)
    assert fix in problem.fix
    assert [d.value["kind"] for d in loaded.documents] == ["Before", "Behind"]


def test_a_duplicate_key_refuses_the_document_and_names_both_lines() -> None:
    loaded = load("kind: A\nmetadata: {name: x}\nspec:\n  a: 1\n  b: 2\n  a: 3\n---\nkind: B\n", "a.yaml")
    [problem] = loaded.problems
    assert problem.code == Code.DUPLICATE_KEY
    assert problem.object == ObjectRef(kind="A", namespace="default", name="x")
    assert (problem.path, problem.source.line) == ("spec.a", 6)
    assert "line 4" in problem.message
    assert [d.value["kind"] for d in loaded.documents] == ["B"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", True), ("No", False), ("'on'", "on"), ("y", "y"), ("1", 1), ("-1", -1), ("0x10", 16), ("010", 8), ("1_000", 1000),
        ("1.5", 1.5), (".inf", ".inf"), (".nan", ".nan"), ("12:30:00", "12:30:00"), ("2024-01-01", "2024-01-01"), ("~", None),
        ("", None), ("1.0.0", "1.0.0"), ("|\n   text\n", "text\n"), ("!!str 1", "1"), ("!custom 1", "1"), ("0", 0), ("089", "089"),
        ("0o17", "0o17"),
    ],
)  # fmt: skip
def test_scalars_are_read_as_kubernetes_reads_them(text: str, value: object) -> None:
    [document] = values(f"a: {text}")
    assert document == {"a": value}
    assert type(document["a"]) is type(value)


def test_keys_are_always_text() -> None:
    assert values("{8080: a, true: b, null: c, 1.5: d}") == [{"8080": "a", "true": "b", "null": "c", "1.5": "d"}]


def test_anchors_and_merges() -> None:
    [value] = values("base: &base {a: 1, b: 2}\nuse: {<<: *base, b: 3}\nlist: {<<: [{c: 4}, *base]}\n")
    assert value["use"] == {"a": 1, "b": 3}
    assert value["list"] == {"a": 1, "b": 2, "c": 4}


def test_lists_are_flattened_with_their_lines() -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- kind: A\n  spec:\n    x: 1\n- kind: B\n"
    first, second = load(text, "a.yaml").documents
    assert (first.value["kind"], first.source.line, first.line_of(("spec", "x"))) == ("A", 4, 6)
    assert (second.value["kind"], second.source.line) == ("B", 7)


def test_items_of_a_typed_list_get_its_kind() -> None:
    [document] = load("{apiVersion: v1, kind: ServiceList, items: [{metadata: {name: a}}]}", "a").documents
    assert document.value == {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "- " * 100_000,
        "{a: " * 50_000,
        "a:\n" + "".join(" " * depth + "a:\n" for depth in range(1, 2000)),
        "a: &a [*a]",
        "a: &a [x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 8)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    ],
    ids=["brackets", "hyphens", "braces", "indentation", "self-reference", "billion laughs"],
)
def test_bombs_are_refused(text: str) -> None:
    loaded = load("kind: Before\n---\n" + text, "bomb.yaml")
    assert [p.code for p in loaded.problems] == [Code.MALFORMED_YAML]
    assert [d.value for d in loaded.documents] == [{"kind": "Before"}]


def test_a_long_line_alone_is_no_bomb() -> None:
    assert values("a: " + "x" * 5000) == [{"a": "x" * 5000}]


@given(st.text(alphabet="ab:-[]{}#&*!|>'\"%@` \n\t\\,?~<0.", max_size=60))
def test_loading_never_raises(text: str) -> None:
    loaded = load(text, "a.yaml")
    for document in loaded.documents:
        assert document.source.line >= 1
        assert document.line_of(("spec", 0, "x")) >= 1
    for problem in loaded.problems:
        assert problem.source.line >= 1
        assert problem.fix

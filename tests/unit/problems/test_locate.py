"""Findings of views name the file and the line of the field that is wrong, wherever it has moved to."""

from pathlib import Path

import pytest

from weft_cli.folder import FolderSource
from weft_cli.news import News
from weft_core.load.folder import load_file
from weft_core.load.locate import Locator
from weft_core.model.mistake import format_path, parse_path
from weft_core.problems import Code, ObjectRef, Problem, Severity, Source

TEXT = """# a comment
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: other}
spec: {hosts: [a.example.com], http: [{route: [{destination: {host: a.example.com}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts: [reviews]
  http:
  - name: first
    route:
    - destination:
        host: gone
"""
REF = ObjectRef(kind="VirtualService", namespace="default", name="reviews")


def problem(path: str, ref: ObjectRef = REF) -> Problem:
    return Problem(code=Code.SCHEMA_WARNING, severity=Severity.INFO, object=ref, path=path, message="m", fix="f")


def line(text: str, path: str) -> int:
    (found,) = Locator().locate([problem(path)], load_file("a.yaml", text).sources, {"a.yaml": text})
    assert found.source.file == "a.yaml"
    return found.source.line


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("spec.http[0].route[0].destination.host", 17),
        ("spec.http[0].route[0].destination.subset", 16),
        ("spec.hosts[0]", 12),
        ("spec", 11),
        ("", 7),
    ],
)
def test_the_line_is_that_of_the_field_or_of_the_nearest_above(path: str, expected: int) -> None:
    assert line(TEXT, path) == expected


def test_a_line_that_moved_is_found_where_it_is_now() -> None:
    locator, moved = Locator(), "\n\n" + TEXT
    for text, expected in ((TEXT, 17), (moved, 19)):
        sources = load_file("a.yaml", text).sources
        (found,) = locator.locate([problem("spec.http[0].route[0].destination.host")], sources, {"a.yaml": text})
        assert found.source.line == expected


def test_items_of_a_list_are_found() -> None:
    text = """kind: List
apiVersion: v1
items:
- apiVersion: networking.istio.io/v1
  kind: VirtualService
  metadata: {name: reviews}
  spec:
    hosts: [reviews]
    http:
    - route:
      - destination: {host: gone}
"""
    assert line(text, "spec.http[0].route[0].destination.host") == 11


def test_what_has_a_place_keeps_it_and_what_has_none_gets_none() -> None:
    placed = problem("spec").at(Source(file="b.yaml", line=3))
    elsewhere = problem("spec", ObjectRef(kind="Service", namespace="default", name="a"))
    assert Locator().locate([placed, elsewhere], {}, {}) == (placed, elsewhere)


@pytest.mark.parametrize(
    "path",
    [("spec", "http", 0, "match"), ("metadata", "annotations", "a.b/c"), ("spec", "portLevelMtls", "8080"), ()],
)
def test_a_written_path_reads_back(path: tuple[str | int, ...]) -> None:
    assert parse_path(format_path(path)) == path


def test_a_folder_locates_what_it_read_last(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    source = FolderSource([tmp_path])
    for text, expected in ((TEXT, 17), ("\n" + TEXT, 18)):
        file.write_text(text)
        source.read()
        (found,) = source.locate([problem("spec.http[0].route[0].destination.host")])
        assert found.source == Source(file=str(file), line=expected)


def test_a_finding_is_news_once_and_again_when_it_comes_back() -> None:
    news, found = News(), problem("spec.hosts[0]")
    assert news.of([found, found]) == (found,)
    assert news.of([found.at(Source(file="a.yaml", line=7))]) == ()
    assert news.of([]) == ()
    assert news.of([found]) == (found,)

"""Files, folders and standard input."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from weft_cli.news import News
from weft_cli.sources import read_sources
from weft_core.errors import EnvironmentFault
from weft_core.problems import ObjectRef, Problem, Severity, Source


def test_a_folder_is_searched_deeply_and_in_sorted_order(tmp_path: Path) -> None:
    for name in ("b/c.yml", "a.yaml", "b/a.json", "z.yaml", "notes.txt", ".hidden.yaml", ".git/x.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    read = ("a.yaml", "b/a.json", "b/c.yml", "z.yaml")
    assert read_sources([tmp_path]) == tuple((str(tmp_path / name), name) for name in read)


def test_a_file_that_is_named_may_end_in_anything(tmp_path: Path) -> None:
    path = tmp_path / "mesh.conf"
    path.write_text("a: 1")
    assert read_sources([path]) == ((str(path), "a: 1"),)


def test_a_folder_below_a_hidden_one_is_read_when_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / ".config" / "a.yaml"
    path.parent.mkdir()
    path.write_text("a: 1")
    assert read_sources([path.parent]) == ((str(path), "a: 1"),)


def test_sources_come_in_the_order_in_which_they_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("c"))
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    assert [text for _, text in read_sources([tmp_path / "b", Path("-"), tmp_path / "a"])] == ["b", "c", "a"]


def test_an_empty_folder_is_no_fault(tmp_path: Path) -> None:
    assert read_sources([tmp_path]) == ()


def test_what_is_not_text_is_a_fault_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EnvironmentFault, match=f"{path}: not a text file in UTF-8"):
        read_sources([tmp_path])


def test_what_is_not_there_is_a_fault_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="gone: no such file or folder"):
        read_sources([tmp_path / "gone"])


def test_a_dangling_link_in_a_folder_is_passed_over(tmp_path: Path) -> None:
    """Editors leave such links as locks beside the file that they edit."""
    (tmp_path / "a.yaml").symlink_to(tmp_path / "gone")
    assert read_sources([tmp_path]) == ()


@pytest.fixture
def problem() -> Callable[..., Problem]:
    """Makes a finding about an object, at a line."""

    def make(name: str, line: int, **more: Any) -> Problem:
        values = {"code": "X", "severity": Severity.ERROR, "message": "m"} | more
        return Problem(object=ObjectRef(name=name), source=Source(file="a", line=line), **values)

    return make


def test_each_finding_is_news_once_wherever_it_moves(problem: Callable[..., Problem]) -> None:
    news = News()
    assert news.of([problem("a", 1), problem("b", 2)]) == (problem("a", 1), problem("b", 2))
    assert news.of([problem("a", 5), problem("b", 9), problem("c", 3)]) == (problem("c", 3),)
    assert news.of([problem("a", 5, message="other")]) == (problem("a", 5, message="other"),)


def test_a_finding_that_was_mended_is_news_when_it_is_back(problem: Callable[..., Problem]) -> None:
    news = News()
    news.of([problem("a", 1)])
    assert news.of([]) == ()
    assert news.of([problem("a", 1)]) == (problem("a", 1),)

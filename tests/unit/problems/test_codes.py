"""Codes are what people suppress by and search for: unique, documented, in use."""

import ast
import re
from pathlib import Path

import pytest

from weft_core import problems
from weft_core.problems import Code

CODES = {name: value for name, value in vars(Code).items() if name.isupper()}


def test_no_code_has_two_names() -> None:
    assert len(set(CODES.values())) == len(CODES)


@pytest.mark.parametrize("code", CODES.values())
def test_codes_look_like_istios(code: str) -> None:
    assert re.fullmatch(r"(IST|WEFT)\d{4}", code)


def test_each_code_says_what_it_means() -> None:
    tree = ast.parse(Path(problems.__file__).read_text())
    (body,) = [node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == "Code"]
    undocumented = [
        ast.unparse(node)
        for node, following in zip(body, [*body[1:], None], strict=True)
        if isinstance(node, ast.Assign)
        and not (isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant))
    ]
    assert undocumented == []


def test_each_code_is_in_use() -> None:
    root = Path(problems.__file__).parents[2]
    folders = [root / name for name in ("core", "cli", "xds_server", "injector", "operator")]
    used = " ".join(file.read_text() for folder in folders for file in folder.rglob("*.py"))
    assert [name for name in CODES if f"Code.{name}" not in used] == []

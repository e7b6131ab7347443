"""The image's recipe fits the project: what the wheel is made of reaches the build, and nothing runs as root."""

import re
import tomllib
from pathlib import Path

import pytest

from weft_injector.capture.settings import PROXY_GID, PROXY_UID

ROOT = Path(__file__).parents[3]
RECIPES = (ROOT / "Dockerfile", ROOT / "examples/bookshop/Dockerfile")
of_each = pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: str(path.parent.name))


def instructions(recipe: Path) -> list[str]:
    text = recipe.read_text().replace("\\\n", "")
    return [line for line in text.splitlines() if line and not line.startswith(("#", " "))]


def test_everything_that_the_wheel_is_made_of_reaches_the_build() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {package.split("/")[0] for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}
    wanted |= {project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml"}
    wanted |= set(re.findall(r"requirements-\w+\.lock", (ROOT / "Dockerfile").read_text()))
    sent = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert wanted <= sent


@of_each
def test_the_base_can_be_chosen_and_the_user_is_a_number_other_than_0(recipe: Path) -> None:
    lines = instructions(recipe)
    assert lines[0].startswith("ARG BASE=")
    users = [line.split()[1] for line in lines if line.startswith("USER")]
    assert users
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])


def test_the_image_runs_as_the_user_that_redirection_lets_through() -> None:
    assert f"USER {PROXY_UID}:{PROXY_GID}" in instructions(ROOT / "Dockerfile")

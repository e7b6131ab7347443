"""What the image installs is what the tests ran with: its locks are parts of the one lock, hashes and all."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
PINNED = re.compile(r"^([a-z0-9.-]+)==", re.MULTILINE)


def pins(name: str) -> dict[str, str]:
    """Package → version, markers and hashes."""
    blocks = re.split(r"\n(?! )", (ROOT / name).read_text().strip())
    return {match[1]: block for block in blocks if (match := PINNED.match(block))}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=\[ ]", requirement)[0] for requirement in requirements}


def test_what_runs_is_pinned_as_in_the_lock_of_everything() -> None:
    everything, runtime = pins("requirements.lock"), pins("requirements-runtime.lock")
    assert {name: everything.get(name) for name in runtime} == runtime


def test_what_runs_has_all_dependencies_and_nothing_of_development() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime = pins("requirements-runtime.lock").keys()
    assert names(project["project"]["dependencies"]) <= runtime
    assert runtime.isdisjoint({"pytest", "mypy", "ruff", "uv", "pip"})


def test_what_builds_the_wheel_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert names(project["build-system"]["requires"]) <= pins("requirements-build.lock").keys()

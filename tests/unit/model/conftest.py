"""Specs as YAML in, decoded objects and their problems out."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from weft_core.model.decode import Decoded, decode
from weft_core.model.kinds import MESH_KINDS
from weft_core.problems import Severity

Read = Callable[[str, str], Decoded]
Found = tuple[str, str, str]


@pytest.fixture
def read() -> Read:
    """Decode a mesh resource called `sample` from its kind and its spec in YAML."""
    api = {kind.kind: kind.api_versions[0] for kind in MESH_KINDS}

    def decoded(kind: str, spec: str) -> Decoded:
        document: Any = {"apiVersion": api[kind], "kind": kind, "metadata": {"name": "sample"}}
        return decode({**document, "spec": yaml.safe_load(spec)})

    return decoded


@pytest.fixture
def errors(read: Read) -> Callable[[str, str], list[Found]]:
    """The errors of a spec as (path, message, fix); the object must be refused exactly if there are any."""

    def found(kind: str, spec: str) -> list[Found]:
        decoded = read(kind, spec)
        listed = [(p.path, p.message, p.fix) for p in decoded.problems if p.severity is Severity.ERROR]
        assert (decoded.object is None) == bool(listed)
        assert decoded.rejected == bool(listed)
        return listed

    return found


@pytest.fixture
def warnings(read: Read) -> Callable[[str, str], list[Found]]:
    """The warnings of a spec that is accepted, as (path, code, fix)."""

    def found(kind: str, spec: str) -> list[Found]:
        decoded = read(kind, spec)
        assert decoded.object is not None, decoded.problems
        return [(p.path, p.code, p.fix) for p in decoded.problems]

    return found

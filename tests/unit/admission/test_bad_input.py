"""Whatever is thrown at the webhook: an answer in time, never a 500, and nothing admitted that nobody can read."""

import copy
import importlib.util
import inspect
import json
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestClient

from weft_core.ingest import replace_all
from weft_core.model.decode import Decoded, decode
from weft_core.model.kinds import BY_API, MESH_KINDS
from weft_core.problems import Severity
from weft_core.registry import Registry

ROOT = Path(__file__).parents[3]
TIME_LIMIT = 1.0
"""Seconds for one answer. They take milliseconds; the API server waits for ten seconds."""

Post = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


def mesh_documents() -> list[dict[str, Any]]:
    """All mesh resources of the examples and of the golden inputs."""
    files = [*ROOT.glob("examples/**/*.yaml"), *ROOT.glob("tests/golden/*/*/input.yaml")]
    documents = (document for file in sorted(files) for document in _loaded(file))
    return [document for document in documents if is_of_the_mesh(document)]


def is_of_the_mesh(document: Any) -> bool:
    if not isinstance(document, dict):
        return False
    kind = BY_API.get((str(document.get("apiVersion")), str(document.get("kind"))))
    return kind is not None and kind.is_mesh


def _loaded(file: Path) -> Iterator[Any]:
    try:
        yield from yaml.safe_load_all(file.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        return


WITHOUT_EXAMPLE = """
{apiVersion: networking.istio.io/v1, kind: WorkloadEntry, metadata: {name: a}, spec: {address: 10.0.0.9}}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: a}
spec:
  selector: {matchLabels: {app: web}}
  jwtRules: [{issuer: a, jwksUri: "https://a.example.com/keys", fromHeaders: [{name: x-token}], timeout: 5s}]
"""
DOCUMENTS = [*mesh_documents(), *yaml.safe_load_all(WITHOUT_EXAMPLE)]


def imported(path: str) -> ModuleType:
    """Another test module: test folders are no packages."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def answered(post: Post, document: Mapping[str, Any]) -> dict[str, Any]:
    """The answer, which must come in time and hold what was promised of it."""
    start = time.monotonic()
    response = await post(document)
    assert time.monotonic() - start < TIME_LIMIT
    assert response.get("status", {}).get("code") != 500, response
    if response["allowed"]:
        assert readable(document)
    else:
        assert response["status"]["message"]
    return response


def readable(document: Mapping[str, Any]) -> bool:
    """Whether the registry takes the object, or something is told of it."""
    decoded = decode(document)
    if decoded.object is None:
        return bool(decoded.problems)
    replace_all(Registry(), [decoded.object])
    return True


async def test_everything_in_the_repository_is_admitted(post: Post) -> None:
    assert len(DOCUMENTS) > 50
    for document in DOCUMENTS:
        assert (await answered(post, document))["allowed"], document


async def test_malformed_files_of_the_standalone_suite_are_refused_for_their_mistakes(post: Post) -> None:
    """Each error that `weft analyze` reports about an object of the mesh stands in the answer, with path and fix."""
    seen = 0
    for text, expected in imported("tests/unit/cli/test_malformed.py").CASES.values():
        try:
            documents = list(yaml.safe_load_all(text))
        except yaml.YAMLError:
            continue  # kubectl refuses it
        document = documents[-1]
        if not is_of_the_mesh(document):
            continue
        seen += 1
        response = await answered(post, document)
        for found in expected:
            if found.code == "IST0106" and found.severity == "error":
                assert not response["allowed"]
                assert f"{found.path}: " in response["status"]["message"]
                assert f"→ {found.fix} (IST0106)" in response["status"]["message"]
    assert seen >= 10


async def test_mistakes_seen_in_the_wild_are_answered(post: Post) -> None:
    """The specs of those tests, noted down by running them once more."""
    api = {kind.kind: kind.api_versions[0] for kind in MESH_KINDS}
    noted: list[tuple[dict[str, Any], Decoded]] = []

    def read(kind: str, spec: str) -> Decoded:
        document = {"apiVersion": api[kind], "kind": kind, "metadata": {"name": "sample"}, "spec": yaml.safe_load(spec)}
        noted.append((document, decode(document)))
        return noted[-1][1]

    def errors(kind: str, spec: str) -> list[tuple[str, str, str]]:
        return [(p.path, p.message, p.fix) for p in read(kind, spec).problems if p.severity is Severity.ERROR]

    def warnings(kind: str, spec: str) -> list[tuple[str, str, str]]:
        return [(p.path, p.code, p.fix) for p in read(kind, spec).problems]

    for name, function in vars(imported("tests/unit/model/test_seen_in_the_wild.py")).items():
        if name.startswith("test_") and inspect.signature(function).parameters.keys() <= {"errors", "warnings"}:
            wanted = inspect.signature(function).parameters
            function(**{key: value for key, value in (("errors", errors), ("warnings", warnings)) if key in wanted})
    assert len(noted) > 20
    for document, decoded in noted:
        assert (await answered(post, document))["allowed"] is not decoded.rejected


JUNK: tuple[Any, ...] = (
    None, True, 0, -1, 2**31, 2**63, 1e308, 0.5, "", "x", "*", "~", "a" * 5000, "é\u0000\n", "1h", "10.0.0.0/8", [], {},
    [[]], [None], {"": ""}, {"a": {"b": [1, "2", None]}}, ["a", 1], {"exact": "a", "regex": "("},
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of everything inside of a document."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in entries:
        yield (*path, key)
        yield from places(item, (*path, key))


def mutated(document: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """The document with one to three things in it replaced, removed, renamed, repeated or buried."""
    found = copy.deepcopy(document)
    for _ in range(rng.randint(1, 3)):
        within = [path for path in places(found) if path[0] not in {"apiVersion", "kind"}]
        if not within:
            break
        path = rng.choice(within)
        holder: Any = found
        for step in path[:-1]:
            holder = holder[step]
        last = path[-1]
        match rng.randrange(6):
            case 0:
                holder[last] = rng.choice(JUNK)
            case 1:
                del holder[last]
            case 2 if isinstance(holder, dict):
                holder[f"{last}s"] = holder.pop(last)
            case 3 if isinstance(holder, list):
                holder.extend([holder[last]] * 20)
            case 4:
                for _ in range(100):
                    holder[last] = {"a": [holder[last]]}
            case _:
                holder[last] = [holder[last]] if rng.random() < 0.5 else {"value": holder[last]}
    return found


@pytest.mark.parametrize("seed", range(200))
async def test_mutated_objects_are_answered(seed: int, post: Post) -> None:
    rng = random.Random(seed)
    await answered(post, mutated(rng.choice(DOCUMENTS), rng))


async def test_nesting_without_end_is_refused(post: Post) -> None:
    deep: Any = "x"
    for _ in range(400):
        deep = {"http": [deep]}
    document = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "a"}}
    assert not (await answered(post, {**document, "spec": deep}))["allowed"]


async def test_an_object_of_half_a_megabyte_is_answered_in_time(post: Post) -> None:
    rule = {"match": [{"uri": {"prefix": "/a/b/c"}, "headers": {"x": {"exact": "y"}}}]}
    rules = [{**rule, "name": f"rule-{n}", "route": [{"destination": {"host": "web"}}]} for n in range(3000)]
    document = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "a"}}
    response = await answered(post, {**document, "spec": {"hosts": ["web"], "http": rules}})
    assert response["allowed"]


async def test_damaged_reviews_are_answered(client: TestClient[web.Request, web.Application]) -> None:
    """Bytes lost, doubled or changed anywhere in an UPDATE."""
    kind = {"group": "networking.istio.io", "version": "v1", "kind": "VirtualService"}
    document = next(document for document in DOCUMENTS if document["kind"] == "VirtualService")
    request = {"uid": "u-1", "kind": kind, "operation": "UPDATE", "object": document, "oldObject": document}
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    whole = json.dumps(review, default=str).encode()
    rng = random.Random(7)
    for _ in range(200):
        at = rng.randrange(len(whole))
        damaged = rng.choice(
            [
                whole[:at],
                whole[:at] + whole[at + 1 :],
                whole[:at] + whole[max(0, at - 9) :],
                whole[:at] + bytes([rng.randrange(256)]) + whole[at + 1 :],
            ]
        )
        answer = await client.post("/validate", data=damaged, headers={"Content-Type": "application/json"})
        assert answer.status in {200, 400}
        if answer.status == 200:
            response = (await answer.json())["response"]
            assert response.get("status", {}).get("code") != 500, damaged

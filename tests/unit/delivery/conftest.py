"""An API server in memory behind the real client, a clock that tests turn, and what all parts are made of."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from weft_injector.ca.authority import Authority
from weft_injector.delivery.metrics import CertificateMetrics
from weft_injector.delivery.names import Release
from weft_injector.delivery.root_keeper import RootKeeper, RootOptions
from weft_injector.renewer import Clock
from weft_kube.client import Api
from weft_kube.errors import api_error
from weft_kube.login import Login
from weft_kube.resource import CLUSTER_ROLES, Resource

UID = "11111111-0000-0000-0000-000000000000"


class MemoryApi(Api):
    """Api on a dictionary: resource versions, preconditions, merge and JSON patches, selectors, watches."""

    def __init__(self) -> None:
        super().__init__(Login(server="http://memory", tls=None, authorization=lambda: ""))
        self.objects: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.before: Callable[[str, str], Awaitable[None]] | None = None
        self._version = 0
        self._events: list[tuple[int, str, str, dict[str, Any]]] = []
        self._news = asyncio.Event()

    def install(self, name: str, uid: str) -> None:
        """Put a ClusterRole there, whose uid is known."""
        meta = {"name": name, "uid": uid, "resourceVersion": "0"}
        self.objects[CLUSTER_ROLES.path(name=name)] = {"metadata": meta}

    async def raw(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        await asyncio.sleep(0)
        self.requests.append(f"{method} {path}")
        if self.before is not None:
            await self.before(method, path)
        content = json.loads(body) if body else {}
        status = path.endswith("/status")
        path = path.removesuffix("/status")
        if method == "POST":
            return self._dump(self._create(path, content, dry_run=(params or {}).get("dryRun") == "All"))
        if method == "GET" and (found := self._list(path, params or {})) is not None:
            return self._dump(found)
        if path not in self.objects:
            raise api_error(404, reason="NotFound", message="not found", doing=f"{method} {path}")
        old = self.objects[path]
        if method == "GET":
            return self._dump(old)
        self._check(method, path, old["metadata"], content)
        if method == "DELETE":
            del self.objects[path]
            self._tell("DELETED", path, old)
            return self._dump(old)
        return self._dump(self._change(path, old, _changed(old, content, method, content_type, status=status)))

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        labels: str = "",
        fields: str = "",
        seconds: int = 300,
        silence: float = 90.0,
    ) -> AsyncGenerator[bytes, None]:
        seen = int(resource_version)
        while True:
            for version, kind, path, object_ in list(self._events):
                if version > seen and _in_collection(path, resource.path(namespace)):
                    seen = version
                    if _selected(object_, {"labelSelector": labels, "fieldSelector": fields}):
                        yield self._dump({"type": kind, "object": object_})
            self._news.clear()
            await self._news.wait()

    def _create(self, path: str, content: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
        meta = content["metadata"]
        target = f"{path}/{meta['name']}"
        if target in self.objects:
            raise api_error(409, reason="AlreadyExists", message="exists", doing=f"POST {target}")
        if "/namespaces/" in path:
            meta["namespace"] = path.split("/namespaces/")[1].partition("/")[0]
        meta["uid"] = f"uid-{len(self._events)}"
        return content if dry_run else self._change(target, None, content)

    def _change(self, path: str, old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
        if old is not None:
            new["metadata"]["uid"] = old["metadata"]["uid"]
            new["metadata"].setdefault("namespace", old["metadata"].get("namespace", ""))
        self._version += 1
        new["metadata"]["resourceVersion"] = str(self._version)
        self.objects[path] = new
        self._tell("ADDED" if old is None else "MODIFIED", path, new)
        return new

    def _check(self, method: str, path: str, meta: dict[str, Any], content: Any) -> None:
        wanted = content.get("preconditions" if method == "DELETE" else "metadata", {}) if type(content) is dict else {}
        for field in ("uid", "resourceVersion"):
            if field in wanted and wanted[field] != meta[field]:
                raise api_error(409, reason="Conflict", message=f"{field} differs", doing=f"{method} {path}")

    def _list(self, path: str, params: Mapping[str, str]) -> dict[str, Any] | None:
        if path in self.objects or not path.rsplit("/", 1)[1].endswith("s") or path.split("/")[-2] in _PLURALS:
            return None
        items = [o for p, o in sorted(self.objects.items()) if _in_collection(p, path) and _selected(o, params)]
        return {"metadata": {"resourceVersion": str(self._version)}, "items": items}

    def _tell(self, kind: str, path: str, object_: dict[str, Any]) -> None:
        if kind == "DELETED":
            self._version += 1
        self._events.append((self._version, kind, path, json.loads(json.dumps(object_))))
        self._news.set()
        self._news = asyncio.Event()

    def _dump(self, value: Any) -> bytes:
        return json.dumps(value).encode()


_PLURALS = {
    "clusterroles",
    "secrets",
    "configmaps",
    "pods",
    "podcertificaterequests",
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
}


def _in_collection(path: str, collection: str) -> bool:
    parent = path.rsplit("/", 1)[0]
    if parent == collection:
        return True
    root, _, plural = collection.rpartition("/")
    return parent.startswith(f"{root}/namespaces/") and parent.endswith(f"/{plural}") and "/namespaces/" not in root


def _selected(object_: dict[str, Any], params: Mapping[str, str]) -> bool:
    labels = object_["metadata"].get("labels") or {}
    for term in filter(None, params.get("labelSelector", "").split(",")):
        name, _, value = term.partition("=")
        if labels.get(name) != value:
            return False
    for term in filter(None, params.get("fieldSelector", "").split(",")):
        negated = "!=" in term
        name, _, value = term.partition("!=" if negated else "=")
        found: Any = object_
        for part in name.split("."):
            found = (found or {}).get(part)
        if (found == value) is negated:
            return False
    return True


def _changed(old: dict[str, Any], content: Any, method: str, content_type: str, *, status: bool) -> dict[str, Any]:
    if method == "PUT":
        return dict(content)
    new: dict[str, Any] = json.loads(json.dumps(old))
    if isinstance(content, list):
        _json_patch(new, content)
        return new
    if status and (old.get("status") or {}).get("conditions"):
        raise api_error(422, reason="Invalid", message="immutable after PodCertificateRequest is issued")
    merged = _merged(new, {"status": content["status"]} if status else content)
    assert isinstance(merged, dict)
    return merged


def _merged(old: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    found = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = _merged(found.get(name), value)
    return found


def _json_patch(document: Any, operations: list[dict[str, Any]]) -> None:
    for operation in operations:
        *parents, last = operation["path"].lstrip("/").split("/")
        place = document
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place[part]
        if operation["op"] == "test" and place[last] != operation["value"]:
            raise api_error(422, reason="Invalid", message="the test failed")
        if operation["op"] == "add":
            place[last] = operation["value"]


_STEPS = 24


class TurnedClock:
    """Stands still until it is turned; whoever sleeps wakes when its time has come."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + timedelta(seconds=seconds), woken))
        await woken

    async def turn(self, passed: timedelta) -> None:
        """Let time pass, in two dozen steps: whoever wakes does what it has to do, and may sleep again."""
        for _ in range(_STEPS):
            self._now += passed / _STEPS
            for _at, woken in [entry for entry in self._sleepers if entry[0] <= self._now]:
                if not woken.done():
                    woken.set_result(None)
            self._sleepers = [entry for entry in self._sleepers if not entry[1].done()]
            await asyncio.sleep(0.01)


@pytest.fixture
def now() -> datetime:
    """The moment at which everything begins."""
    return datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


@pytest.fixture
def _clock(now: datetime) -> TurnedClock:
    return TurnedClock(now)


@pytest.fixture
def clock(_clock: TurnedClock) -> Clock:
    """The clock of all parts."""
    return _clock


@pytest.fixture
def turn(_clock: TurnedClock) -> Callable[[timedelta], Awaitable[None]]:
    """Lets time pass."""
    return _clock.turn


@pytest.fixture
async def _memory() -> MemoryApi:
    """With the ClusterRole of `release`."""
    memory = MemoryApi()
    memory.install("weft-weft-system", UID)
    return memory


@pytest.fixture
def api(_memory: MemoryApi) -> Api:
    """An API server in memory."""
    return _memory


@pytest.fixture
def requests(_memory: MemoryApi) -> list[str]:
    """`METHOD PATH` of each request so far."""
    return _memory.requests


@pytest.fixture
def before(_memory: MemoryApi) -> Callable[[Callable[[str, str], Awaitable[None]]], None]:
    """Has something done before each request (method, path): it may raise, or write in between."""

    def install(hook: Callable[[str, str], Awaitable[None]]) -> None:
        _memory.before = hook

    return install


@pytest.fixture
def install(_memory: MemoryApi) -> Callable[[str, str], None]:
    """Puts a ClusterRole (name, uid) into the API server, in the place of the one that is there."""
    return _memory.install


@pytest.fixture
def release() -> Release:
    """The release of `helm install weft -n weft-system`."""
    return Release(name="weft", namespace="weft-system", uid=UID)


@pytest.fixture
def authority(now: datetime) -> Authority:
    """A self-made authority of `cluster.local`."""
    return Authority.self_made(trust_domain="cluster.local", now=now)


@pytest.fixture
def registry() -> CollectorRegistry:
    """Where metrics end up."""
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> CertificateMetrics:
    """The metrics of all parts."""
    return CertificateMetrics(registry)


@pytest.fixture
async def root(api: Api, release: Release, clock: Clock, metrics: CertificateMetrics) -> RootKeeper:
    """A keeper that has made its root."""
    keeper = RootKeeper(api, RootOptions(release=release, trust_domain="cluster.local"), clock=clock, metrics=metrics)
    await keeper.load()
    return keeper


@pytest.fixture
async def background() -> AsyncIterator[Callable[[Awaitable[object]], "asyncio.Future[object]"]]:
    """Runs something beside the test, and ends it with the test; what it raised fails the test."""
    tasks: list[asyncio.Future[object]] = []

    def start(work: Awaitable[object]) -> "asyncio.Future[object]":
        tasks.append(asyncio.ensure_future(work))
        return tasks[-1]

    yield start
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Waits until something holds, for two seconds at most."""

    async def wait(holds: Callable[[], object]) -> None:
        async with asyncio.timeout(2):
            while not holds():
                await asyncio.sleep(0.005)

    return wait

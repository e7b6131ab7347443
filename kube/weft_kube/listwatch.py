"""A reflector: keeps a copy of one resource of the API, whatever happens to the connection.

It lists page by page and watches from there (`steps` decides what comes next), straight from bytes to structs, and
writes into a `Sink`. It never ends and never raises because of the API: what it can't do now it says and tries again.
The copy may be late. It is never wrong for good: what vanished while nobody watched is removed by the next list.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, Generic, NoReturn, Protocol, TypeVar

import msgspec
import structlog

from weft_core.model.kubernetes import KubernetesObject
from weft_kube.client import Api
from weft_kube.errors import ApiError, Forbidden, Gone, Unauthenticated, Unavailable, api_error
from weft_kube.resource import Resource
from weft_kube.steps import List, Steps

R = TypeVar("R", bound=KubernetesObject)
R_contra = TypeVar("R_contra", bound=KubernetesObject, contravariant=True)

Key = tuple[str, str]
"""Namespace (empty for cluster-scoped kinds) and name."""

_SLICE: Final = 0.005
"""Seconds of parsing and writing, after which the event loop may do something else."""
_REPEAT: Final = 60.0
"""Seconds after which the same trouble is told again."""
_NOTHING: Final = ("", float("-inf"))
_REASONS: Final[Mapping[type[ApiError], str]] = {
    Gone: "gone",
    Unavailable: "unavailable",
    Forbidden: "forbidden",
    Unauthenticated: "unauthenticated",
}

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Sink(Protocol[R_contra]):
    """Where the copy is kept. Nothing here may block; equal rows come again and again."""

    def put(self, row: R_contra) -> None:
        """An object as it is now, new or not."""
        ...

    def remove(self, key: Key) -> None:
        """An object was deleted."""
        ...

    def retain(self, keys: Collection[Key]) -> None:
        """A list is complete, and these are all there are: forget the others."""
        ...


class _ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""


class _Page(msgspec.Struct, frozen=True):
    metadata: _ListMeta
    items: tuple[msgspec.Raw, ...] | None = None


class _Event(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw


class _Status(msgspec.Struct, frozen=True):
    code: int = 0
    reason: str = ""
    message: str = ""


_PAGE = msgspec.json.Decoder(_Page)
_EVENT = msgspec.json.Decoder(_Event)
_STATUS = msgspec.json.Decoder(_Status)
_META = msgspec.json.Decoder(KubernetesObject)


class Reflector(Generic[R]):
    """Copies one resource into a sink, for as long as `run` runs.

    `kind` is the struct that objects are parsed into: the fewer fields, the faster. `synced` is set when the first list
    is complete, and stays set. `restarted` is told why a watch did not simply go on: `gone`, `unavailable`,
    `forbidden`, `unauthenticated` or `failed`.
    """

    def __init__(
        self,
        api: Api,
        resource: Resource,
        kind: type[R],
        sink: Sink[R],
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        restarted: Callable[[str], None] = lambda _reason: None,
        steps: Steps | None = None,
    ) -> None:
        self.synced = asyncio.Event()
        self._api = api
        self._resource = resource
        self._sink = sink
        self._namespace = namespace
        self._labels = labels
        self._fields = fields
        self._restarted = restarted
        self._steps = steps or Steps()
        self._row: msgspec.json.Decoder[R] = msgspec.json.Decoder(kind)
        self._told: tuple[str, float] = _NOTHING
        """The last trouble that was logged, and when."""

    async def run(self) -> NoReturn:
        """Keep the copy, until cancelled."""
        while True:
            step = self._steps.next
            await asyncio.sleep(step.delay)
            began = time.monotonic()
            try:
                if isinstance(step, List):
                    await self._list()
                else:
                    await self._watch(step.version)
                    self._steps.ended(time.monotonic() - began)
            except (ApiError, msgspec.MsgspecError, RecursionError, OSError) as error:
                fault = error if isinstance(error, ApiError) else _fault(f"{self._doing}: {error}", error)
                lasted = 0.0 if isinstance(step, List) else time.monotonic() - began
                self._steps.failed(fault, lasted)
                self._tell(fault)

    async def _list(self) -> None:
        present: set[Key] = set()
        version = ""
        pages = self._api.pages(self._resource, self._namespace, labels=self._labels, fields=self._fields)
        async with contextlib.aclosing(pages):
            async for body in pages:
                page = _PAGE.decode(body)
                version = page.metadata.resource_version
                await self._put(page.items or (), present)
        self._sink.retain(present)
        self._steps.listed(version)
        self._told = _NOTHING
        if not self.synced.is_set():
            self.synced.set()
            _log.info("listwatch_synced", resource=self._resource.plural, objects=len(present))

    async def _put(self, items: Iterable[msgspec.Raw], present: set[Key]) -> None:
        """Write a page's objects, in slices of time."""
        began = float("-inf")
        for item in items:
            if time.monotonic() - began > _SLICE:
                await asyncio.sleep(0)
                began = time.monotonic()
            if (row := self._read(item, present)) is not None:
                present.add((row.namespace, row.name))
                self._sink.put(row)

    def _read(self, item: msgspec.Raw, present: set[Key]) -> R | None:
        """A row. What can't be read is present all the same: its last readable version stays."""
        try:
            return self._row.decode(item)
        except msgspec.ValidationError as error:
            about = _META.decode(item)
            present.add((about.namespace, about.name))
            _log.error(
                "object_unreadable",
                resource=self._resource.plural,
                namespace=about.namespace,
                name=about.name,
                error=str(error),
                effect="its last readable version stays in force",
            )
            return None

    async def _watch(self, version: str) -> None:
        lines = self._api.watch(
            self._resource, self._namespace, resource_version=version, labels=self._labels, fields=self._fields
        )
        async with contextlib.aclosing(lines):
            async for line in lines:
                if line:
                    self._take(_EVENT.decode(line))

    def _take(self, event: _Event) -> None:
        """One event of a watch. Raises ApiError where it says that the watch is over."""
        if event.type == "ERROR":
            status = _STATUS.decode(event.object)
            raise api_error(status.code, reason=status.reason, message=status.message, doing=self._doing)
        self._told = _NOTHING
        about = _META.decode(event.object)
        if event.type == "DELETED":
            self._sink.remove((about.namespace, about.name))
        elif event.type != "BOOKMARK" and (row := self._read(event.object, set())) is not None:
            self._sink.put(row)
        self._steps.advanced(about.metadata.resource_version)

    @property
    def _doing(self) -> str:
        return f"list and watch {self._resource.path(self._namespace)}"

    def _tell(self, fault: ApiError) -> None:
        """Log what is wrong: at once, and again and again while it lasts, but not at every try."""
        reason = _REASONS.get(type(fault), "failed")
        self._restarted(reason)
        now = time.monotonic()
        if self._told[0] == reason and now - self._told[1] < _REPEAT:
            return
        self._told = (reason, now)
        fields = {"resource": self._resource.plural, "namespace": self._namespace or "*", "error": str(fault)}
        if reason == "forbidden":
            group = self._resource.group or '""'
            missing = f"list and watch of {self._resource.plural} in API group {group}"
            _log.error("listwatch_forbidden", **fields, missing=missing, fix="grant it in the ClusterRole, or a Role")
        elif reason == "unauthenticated":
            _log.error("listwatch_unauthenticated", **fields, fix=Unauthenticated.FIX)
        elif reason == "gone":
            _log.info("listwatch_relists", **fields)
        else:
            _log.warning("listwatch_interrupted", **fields)


def _fault(message: str, error: Exception) -> ApiError:
    """What cannot be read would be no more readable from the same version on: list anew."""
    return Gone(message) if isinstance(error, msgspec.MsgspecError | RecursionError) else Unavailable(message)

"""Meshes of real processes: `weft up` on copies of the bookshop, clients for their gateways, and what is left of them.

The classes are for annotations only: tests import them under `TYPE_CHECKING` and get instances from the fixtures.
"""

import asyncio
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from weft_cli.up.guard import MARKER

EXAMPLES = Path(__file__).parents[2] / "examples"
WEFT = Path(sys.executable).with_name("weft")
START = 30.0
"""Seconds that a mesh may take to start on a machine that has much else to do."""

_figures = pytest.StashKey[list[str]]()


# Figures


def pytest_configure(config: pytest.Config) -> None:
    """Make a place for what tests measure."""
    config.stash[_figures] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what tests have measured: for people, as no test fails for being slow on a busy machine."""
    if config.stash[_figures]:
        terminalreporter.section("figures")
        for line in config.stash[_figures]:
            terminalreporter.line(line)


@pytest.fixture
def figure(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Takes a line for the summary at the end of the run."""
    return pytestconfig.stash[_figures].append


# The mesh


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def free_port() -> int:
    """A TCP port of loopback that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody accepts connections on a port of loopback."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Mesh:
    """A `weft up`, with a folder, a place for temporary files and an environment of its own.

    Its processes are told from those of other meshes by that place, which they inherit as TMPDIR.
    """

    def __init__(self, home: Path, folder: Path, port: int, *options: str) -> None:
        self.folder = folder
        self.port = port
        self._temporary, self._logs, self._output = home / "tmp", home / "logs", home / "output.txt"
        self._temporary.mkdir()
        self._known = self._files()
        self._originals = {path: path.read_text() for path in folder.rglob("*.yaml")}
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [WEFT, "up", folder, "--no-color", "--log-dir", self._logs, *options],
                env={**os.environ, "TMPDIR": str(self._temporary)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_up(self, path: str = "/productpage", seconds: float = START, *, status: int = 200) -> None:
        """Wait for the first such answer through the gateway; fails the test with what the command printed."""
        deadline = time.monotonic() + seconds
        while self._status(path) != status:
            if time.monotonic() > deadline or self.process.poll() is not None:
                pytest.fail(
                    f"no {status} within {seconds} s (exit code {self.process.poll()}); it said:\n{self.output}"
                )
            time.sleep(0.05)

    def _status(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    @property
    def output(self) -> str:
        """All that the command has printed."""
        return self._output.read_text(errors="replace")

    def log(self, name: str) -> list[str]:
        """All lines that a process has printed."""
        path = self._logs / f"{name.replace('/', '_')}.log"
        return path.read_text(errors="replace").splitlines() if path.exists() else []

    # the folder

    def apply(self, name: str, text: str) -> None:
        """Save a file, as an editor or `cp` does."""
        path = self.folder / name
        path.write_text(text)
        self._known.add(path)

    def edit(self, name: str, old: str, new: str) -> None:
        """Save a file with one thing changed."""
        path = next(self.folder.rglob(name))
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def remove(self, name: str) -> None:
        """Delete a file."""
        path = self.folder / name
        path.unlink()
        self._known.discard(path)

    def restore(self) -> None:
        """Make the folder what it was at the start."""
        for path in self._known - self._originals.keys():
            if path.parent == self.folder and path.is_file():
                self.remove(path.name)
        for path, text in self._originals.items():
            if path.read_text() != text:
                path.write_text(text)

    def _files(self) -> set[Path]:
        return {path for path in self.folder.rglob("*") if "__pycache__" not in path.parts}

    # processes

    def processes(self) -> dict[int, str]:
        """All of its processes that run: the name under which `weft up` runs each, by pid. Linux only."""
        ours = f"TMPDIR={self._temporary}".encode()
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                environment = process.joinpath("environ").read_bytes().split(b"\0")
                if ours in environment and alive(pid := int(process.name)):
                    marks = [each.decode() for each in environment if each.startswith(MARKER.encode())]
                    found[pid] = marks[0].partition("/")[2].rstrip("/") if marks else ""
        return found

    def pid(self, name: str) -> int:
        """What runs under this name: `reviews-v1-0`, or `reviews-v1-0/envoy` for its sidecar; 0 where nothing does."""
        return min((pid for pid, each in self.processes().items() if each == name), default=0)

    def admin(self, pod: str) -> int:
        """The port of a proxy's admin interface, as its bootstrap has it."""
        (bootstrap,) = self._temporary.glob(f"**/{pod}.default/bootstrap.json")
        return int(json.loads(bootstrap.read_text())["admin"]["address"]["socket_address"]["port_value"])

    # the end

    def end(self, *signals: signal.Signals, seconds: float = 15.0) -> int:
        """Send signals, wait for the end, and tell the exit code; fails where it takes longer."""
        for number in signals:
            self.process.send_signal(number)
            time.sleep(0.2)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it has not ended within {seconds} s; it said:\n{self.output}")

    def left(self) -> list[str]:
        """What there is of it after its end: processes (and their sockets with them), its port, files."""
        return [
            *(f"process {pid} {name}" for pid, name in self.processes().items()),
            *([f"port {self.port}"] if listens(self.port) else []),
            *(f"file {path}" for path in self._temporary.rglob("*")),
            *(f"file {path}" for path in self._files() ^ self._known),
        ]

    def kill(self) -> None:
        """End whatever is left, whatever state it is in."""
        for pid in {*self.processes(), *([self.process.pid] if self.process.poll() is None else [])}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="session")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Mesh]]:
    """Starts meshes on copies of bookshop's files, of all or of those named, each with a gateway port of its own.

    `added` are more files that are there from the start, by name.
    """
    with ExitStack() as stack:

        def start(
            *files: str, options: tuple[str, ...] = (), port: int | None = None, added: Mapping[str, str] | None = None
        ) -> Mesh:
            home = tmp_path_factory.mktemp("mesh")
            folder = home / "bookshop"
            shutil.copytree(EXAMPLES / "bookshop", folder, ignore=_all_yaml_but(files))
            port = port or free_port()
            gateway = folder / "kubernetes" / "gateway.yaml"
            gateway.write_text(gateway.read_text().replace("8080", str(port)))
            for name, text in (added or {}).items():
                folder.joinpath(name).write_text(text)
            mesh = Mesh(home, folder, port, *options)
            stack.callback(mesh.kill)
            return mesh

        yield start


def _all_yaml_but(files: tuple[str, ...]) -> Callable[[str, list[str]], set[str]]:
    def ignored(_folder: str, names: list[str]) -> set[str]:
        others = {name for name in names if files and name.endswith(".yaml") and name not in files}
        return others | {"__pycache__"}

    return ignored


@pytest.fixture(scope="session")
def running(launch: Callable[..., Mesh]) -> Iterator[Mesh]:
    """The whole bookshop, up for all tests that share it. After SIGTERM nothing is left of it."""
    mesh = launch()
    mesh.wait_until_up()
    yield mesh
    assert mesh.end(signal.SIGTERM) == 0
    assert mesh.left() == []


@pytest.fixture
def shop(running: Mesh) -> Iterator[Mesh]:
    """The whole bookshop; its folder is what it was once the test is over."""
    yield running
    running.restore()


# Requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer that came through a mesh."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def json(self) -> dict[str, Any]:
        """The body as an object; empty where it is something else."""
        with contextlib.suppress(ValueError):
            if isinstance(value := json.loads(self.body), dict):
                return value
        return {}

    @property
    def version(self) -> str:
        """Which version of the service at the end has answered; `-` where none has."""
        return str(self.json.get("served_by", {}).get("version", "-"))

    @property
    def pod(self) -> str:
        """Which pod of the service at the end has answered; `-` where none has."""
        return str(self.json.get("served_by", {}).get("pod", "-"))


class Client:
    """An HTTP client for one port of loopback, over connections that it keeps. It follows no redirects."""

    def __init__(self, port: int, session: aiohttp.ClientSession) -> None:
        self._origin = f"http://localhost:{port}"
        self._session = session

    async def get(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        """Ask once; headers' names have `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        begin = time.perf_counter()
        async with self._session.request(method, self._origin + path, headers=named, allow_redirects=False) as response:
            body = await response.read()
            lower = {name.lower(): value for name, value in response.headers.items()}
            return Answer(status=response.status, headers=lower, body=body, seconds=time.perf_counter() - begin)

    async def many(self, count: int, path: str, *, at_a_time: int = 8, **headers: str) -> list[Answer]:
        """Ask often, some requests at a time."""
        remaining = iter(range(count))

        async def some() -> list[Answer]:
            return [await self.get(path, **headers) for _ in remaining]

        return [answer for answers in await asyncio.gather(*(some() for _ in range(at_a_time))) for answer in answers]


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[int], Client]]:
    """Makes clients."""
    async with AsyncExitStack() as stack:
        session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15), cookie_jar=aiohttp.DummyCookieJar())
        await stack.enter_async_context(session)
        yield lambda port: Client(port, session)


@pytest.fixture
def gateway(shop: Mesh, connect: Callable[[int], Client]) -> Client:
    """A client for the bookshop's gateway."""
    return connect(shop.port)


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    """Repeats a check until it raises nothing; after some seconds, raises what the check does."""

    async def repeat(check: Callable[[], Awaitable[None]], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                return await check()
            except (AssertionError, OSError, aiohttp.ClientError):
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.02)

    return repeat

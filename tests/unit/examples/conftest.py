"""The bookshop's services in this process: their folder on the import path, and servers on free ports."""

import contextlib
import importlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"
SERVICES = EXAMPLES / "bookshop" / "services"


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of all examples."""
    return EXAMPLES


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The modules of the services by name, imported as `python services` sees them and forgotten afterwards."""
    names = [path.stem for path in SERVICES.glob("*.py") if path.stem != "__main__"]
    monkeypatch.syspath_prepend(str(SERVICES))
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
async def start(shop: Any) -> AsyncIterator[Callable[..., Any]]:
    """Start a service on a free port; returns its URL. Other services' places come as `REVIEWS_URL=...`."""
    async with contextlib.AsyncExitStack() as stack:

        async def run(service: str, version: str = "v1", **environment: str) -> str:
            identity = shop.messages.Identity(service=service, version=version, pod=f"{service}-{version}-0")
            client = shop.client.Client.from_environment(environment)
            handler = getattr(shop, service).create(identity, client, environment)
            server = await shop.server.listen(identity, handler, host="127.0.0.1", port=0)
            stack.callback(server.close)
            return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

        yield run


@pytest.fixture
async def whole_shop(start: Callable[..., Any]) -> dict[str, str]:
    """All services, with reviews v2: URLs by name."""
    details, ratings = await start("details"), await start("ratings")
    reviews = await start("reviews", "v2", RATINGS_URL=ratings)
    page = await start("productpage", DETAILS_URL=details, REVIEWS_URL=reviews, RATINGS_URL=ratings)
    return {"details": details, "ratings": ratings, "reviews": reviews, "productpage": page}


@pytest.fixture
def quiet_environment() -> dict[str, str]:
    """The environment for a service in a process of its own."""
    return {"PATH": os.environ.get("PATH", ""), "HOST": "127.0.0.1", "HOSTNAME": "pod-0"}

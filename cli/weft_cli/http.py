"""The control plane's own HTTP endpoints: `/ready` and `/live` for who waits for it, `/metrics` for Prometheus."""

import ssl
from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from weft_core.errors import PortInUse


def make_app(metrics: CollectorRegistry, ready: Callable[[], bool]) -> web.Application:
    """`/ready` answers 200 once the first full set of objects is in force, 503 before; `/live` always 200."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter

    async def readiness(_request: web.Request) -> web.Response:
        return web.Response(text="ready\n") if ready() else web.Response(text="not ready\n", status=503)

    async def liveness(_request: web.Request) -> web.Response:
        return web.Response(text="live\n")

    async def exposition(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(metrics), headers={"Content-Type": content_type})

    app = web.Application()
    app.add_routes([web.get("/ready", readiness), web.get("/live", liveness), web.get("/metrics", exposition)])
    return app


async def start(app: web.Application, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> web.AppRunner:
    """Listen, with TLS where a context is given; the runner's `cleanup` ends it. Raises PortInUse."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
    except OSError as error:
        await runner.cleanup()
        raise PortInUse(f"cannot listen for HTTP on {host}:{port}: {error.strerror}") from error
    return runner

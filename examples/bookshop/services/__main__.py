"""Run one service of the bookshop: `python services NAME`, with its settings in the environment.

HOST and PORT   where to listen; all addresses and 9080 unless set
VERSION         what the service says it is: v1, v2, v3
HOSTNAME        the pod's name, as Kubernetes sets it
HTTP_PROXY      where to send calls of other services, instead of straight to them
"""

import asyncio
import importlib
import os
import socket
import sys

from client import Client
from messages import Identity
from server import Handler, serve

SERVICES = ("productpage", "details", "reviews", "ratings")


def create(name: str) -> tuple[Identity, Handler]:
    """Make a service from the environment, importing only its own module: starting fast is part of the show."""
    pod = os.environ.get("HOSTNAME") or socket.gethostname()
    identity = Identity(service=name, version=os.environ.get("VERSION", "v1"), pod=pod)
    handler: Handler = importlib.import_module(name).create(identity, Client.from_environment(os.environ), os.environ)
    return identity, handler


def main(arguments: list[str]) -> int | str:
    """Serve until SIGTERM or Ctrl-C; return what `sys.exit` takes."""
    if len(arguments) != 1 or arguments[0] not in SERVICES:
        return f"usage: python services {{{','.join(SERVICES)}}}"
    identity, handler = create(arguments[0])
    host, port = os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("PORT", "9080"))
    asyncio.run(serve(identity, handler, host=host, port=port))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

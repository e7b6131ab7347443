"""ratings: how many stars readers gave. It can be asked to be slow or to fail, to see what the mesh makes of it.

For one request, by its query: `/ratings/0?delay=2&fail=503`. For all requests of this instance, by the environment
(RATINGS_DELAY, RATINGS_FAIL) or at run time: `POST /admin/fail?status=503&delay=2`, `POST /admin/recover`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from catalogue import BOOKS
from client import Client
from messages import Identity, Request, Response
from server import Handler

_LONGEST_DELAY = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What goes wrong: a delay in seconds, and a status instead of the answer (0: none)."""

    delay: float = 0.0
    status: int = 0

    @classmethod
    def parse(cls, delay: str, status: str) -> "Trouble":
        """Read `2`, `0.5` or `2s`, and a status. Raises ValueError."""
        trouble = cls(delay=float(delay.removesuffix("s") or 0), status=int(status or 0))
        if not 0 <= trouble.delay <= _LONGEST_DELAY or trouble.status not in (0, *range(200, 600)):
            raise ValueError(f"delay must be 0 to {_LONGEST_DELAY:.0f} seconds, the status 200 to 599")
        return trouble


class Ratings:
    """The service, with the trouble that it is in."""

    def __init__(self, identity: Identity, trouble: Trouble) -> None:
        self._identity = identity
        self._trouble = trouble

    async def __call__(self, request: Request) -> Response:
        """Answer `GET /ratings/ID` and `POST /admin/...`."""
        try:
            match request.method, request.segments:
                case "POST", ("admin", "fail"):
                    self._trouble = Trouble.parse(request.query.get("delay", ""), request.query.get("status", "503"))
                    return self._state()
                case "POST", ("admin", "recover"):
                    self._trouble = Trouble()
                    return self._state()
                case _, ("ratings", book_id):
                    asked = Trouble.parse(request.query.get("delay", ""), request.query.get("fail", ""))
                    return await self._rate(book_id, asked)
        except ValueError as error:
            return Response.of_json({"error": str(error)}, status=400)
        return Response.of_json({"error": "not found"}, status=404)

    async def _rate(self, book_id: str, asked: Trouble) -> Response:
        await asyncio.sleep(max(asked.delay, self._trouble.delay))
        served_by = self._identity.as_json()
        if status := asked.status or self._trouble.status:
            return Response.of_json({"error": "failing, as asked", "served_by": served_by}, status=status)
        if book := BOOKS.get(book_id):
            return Response.of_json({"id": book_id, "ratings": dict(book.stars), "served_by": served_by})
        return Response.of_json({"error": "no such book"}, status=404)

    def _state(self) -> Response:
        trouble = {"delay": self._trouble.delay, "status": self._trouble.status}
        return Response.of_json({"trouble": trouble, "served_by": self._identity.as_json()})


def create(identity: Identity, client: Client, environment: Mapping[str, str]) -> Handler:
    """Make the service, in the trouble that the environment names."""
    del client
    return Ratings(identity, Trouble.parse(environment.get("RATINGS_DELAY", ""), environment.get("RATINGS_FAIL", "")))

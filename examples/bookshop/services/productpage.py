"""productpage: the shop's page for people, and its API for programs. Calls details, reviews and ratings."""

import asyncio
import re
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs, urlencode

from catalogue import BOOKS
from client import Client
from messages import Identity, Request, Response
from page import render
from server import Handler

_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,39}")
"""Who may log in: anybody, by a name that fits into a cookie and a header as it is."""

_COVER = Path(__file__).with_name("cover.svg").read_bytes()


class ProductPage:
    """The service. `urls` are the origins of the services it calls, by name."""

    def __init__(self, identity: Identity, client: Client, urls: Mapping[str, str]) -> None:
        self._identity = identity
        self._client = client
        self._urls = urls

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        match request.method, request.segments:
            case "POST", ("login",):
                return _log_in(request)
            case "POST", ("logout",):
                return _to_page("user=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax")
            case _, () | ("productpage",):
                return await self._page(request)
            case _, ("static", "cover.svg"):
                return Response(body=_COVER, headers={"content-type": "image/svg+xml", "cache-control": "max-age=3600"})
            case _, ("api", "v1", "products", *rest):
                return await self._api(request, rest)
        return Response.of_json({"error": "not found"}, status=404)

    async def _api(self, request: Request, rest: list[str]) -> Response:
        """Answer below /api/v1/products: the list, a book's details, its reviews, its ratings."""
        match rest:
            case []:
                books = [{"id": book_id, "title": book.title} for book_id, book in BOOKS.items()]
                return Response.of_json({"products": books, "served_by": self._identity.as_json()})
            case [book_id] if book_id in BOOKS:
                return _relayed(await self._call("details", book_id, request))
            case [book_id, ("reviews" | "ratings") as service] if book_id in BOOKS:
                return _relayed(await self._call(service, book_id, request))
        return Response.of_json({"error": "no such book"}, status=404)

    async def _page(self, request: Request) -> Response:
        """Show a book. Its details and reviews are fetched at the same time; the page comes without what fails."""
        book_id = request.query.get("id", "0")
        if book_id not in BOOKS:
            return Response.of_json({"error": "no such book"}, status=404)
        details, reviews = await asyncio.gather(
            self._call("details", book_id, request), self._call("reviews", book_id, request)
        )
        page = render(BOOKS[book_id], details, reviews, user=user_of(request), page_of=self._identity)
        return Response(body=page.encode(), headers={"content-type": "text/html; charset=utf-8"})

    async def _call(self, service: str, book_id: str, request: Request) -> Response:
        """Call another service for the user of the request. Ratings also get the query: `?delay=2&fail=503`."""
        query = f"?{urlencode(request.query)}" if service == "ratings" and request.query else ""
        headers = request.passed_on
        if user := user_of(request):
            headers["end-user"] = user
        return await self._client.get(f"{self._urls[service]}/{service}/{book_id}{query}", headers)


def create(identity: Identity, client: Client, environment: Mapping[str, str]) -> Handler:
    """Make the service. DETAILS_URL, REVIEWS_URL and RATINGS_URL say where the others are, if it is elsewhere."""
    services = ("details", "reviews", "ratings")
    urls = {name: environment.get(f"{name.upper()}_URL", f"http://{name}:9080") for name in services}
    return ProductPage(identity, client, urls)


def user_of(request: Request) -> str | None:
    """Tell who asks: the logged-in user by the cookie, else whom the header `end-user` names."""
    try:
        cookie = SimpleCookie(request.headers.get("cookie", "")).get("user")
    except CookieError:
        cookie = None
    name = cookie.value if cookie else request.headers.get("end-user", "")
    return name if _USER.fullmatch(name) else None


def _log_in(request: Request) -> Response:
    """Take the form's `user` into a cookie. There are no passwords: this shop sells nothing."""
    name = parse_qs(request.body.decode(errors="replace")).get("user", [""])[0].strip()
    if not _USER.fullmatch(name):
        return Response.of_json({"error": "a name has 1 to 40 letters, digits and . _ @ -"}, status=400)
    return _to_page(f"user={name}; Path=/; HttpOnly; SameSite=Lax")


def _to_page(cookie: str) -> Response:
    """Set a cookie and send the browser to the page (303: with GET)."""
    return Response(status=303, headers={"location": "/productpage", "set-cookie": cookie})


def _relayed(answer: Response) -> Response:
    """Pass on another service's answer or error, as what the API's caller asked for."""
    if isinstance(answer.json, dict):
        return Response.of_json(answer.json, status=answer.status)
    text = answer.body.decode(errors="replace").strip()
    return Response.of_json({"error": text or f"status {answer.status}"}, status=answer.status)

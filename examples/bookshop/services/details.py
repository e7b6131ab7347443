"""details: what is printed on the back of a book."""

from collections.abc import Mapping

from catalogue import BOOKS
from client import Client
from messages import Identity, Request, Response
from server import Handler


def create(identity: Identity, client: Client, environment: Mapping[str, str]) -> Handler:
    """Make the service: `GET /details/ID`."""
    del client, environment

    async def handle(request: Request) -> Response:
        match request.segments:
            case ("details", book_id) if book := BOOKS.get(book_id):
                facts = {"author": book.author, "year": book.year, "pages": book.pages, "language": book.language}
                return Response.of_json({"id": book_id, **facts, "served_by": identity.as_json()})
        return Response.of_json({"error": "no such book"}, status=404)

    return handle

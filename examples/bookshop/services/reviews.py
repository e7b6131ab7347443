"""reviews: what readers wrote. v1 knows no ratings, v2 shows black stars, v3 red ones."""

from collections.abc import Mapping
from typing import Any

from catalogue import BOOKS, Book
from client import Client
from messages import Identity, Request, Response
from server import Handler

RATINGS = "http://ratings:9080"

COLOURS = {"v2": "black", "v3": "red"}
"""Colour of the stars by version; other versions do not ask for ratings."""


def create(identity: Identity, client: Client, environment: Mapping[str, str]) -> Handler:
    """Make the service: `GET /reviews/ID`. RATINGS_URL says where the ratings are, if not at their usual place."""
    ratings_url = environment.get("RATINGS_URL", RATINGS)
    colour = COLOURS.get(identity.version)

    async def handle(request: Request) -> Response:
        match request.segments:
            case ("reviews", book_id) if book := BOOKS.get(book_id):
                answer = {"id": book_id, "reviews": _texts(book), "served_by": identity.as_json()}
                if colour:
                    rated = await client.get(f"{ratings_url}/ratings/{book_id}", request.passed_on)
                    _add_stars(answer, rated, colour)
                return Response.of_json(answer)
        return Response.of_json({"error": "no such book"}, status=404)

    return handle


def _texts(book: Book) -> list[dict[str, Any]]:
    return [{"reviewer": review.reviewer, "text": review.text} for review in book.reviews]


def _add_stars(answer: dict[str, Any], rated: Response, colour: str) -> None:
    """Add each reader's stars, or to each the reason why there are none: reviews without stars are still reviews."""
    known = rated.json if isinstance(rated.json, dict) else {}
    answer["ratings_status"] = rated.status
    answer["ratings_served_by"] = known.get("served_by")
    for review in answer["reviews"]:
        if rated.status == 200:
            review["rating"] = {"stars": known.get("ratings", {}).get(review["reviewer"], 0), "color": colour}
        else:
            review["rating"] = {"error": "The ratings are not available just now."}

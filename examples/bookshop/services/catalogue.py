"""The books of the shop, which nobody has written yet, and what readers say of them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What one reader wrote; how many stars they gave is for the ratings service to know."""

    reviewer: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """A book with everything that any of the services tells about it. `stars` are by reviewer, 1 to 5."""

    title: str
    author: str
    year: int
    pages: int
    language: str
    summary: str
    reviews: tuple[Review, ...]
    stars: Mapping[str, int]


BOOKS: Mapping[str, Book] = {
    "0": Book(
        title="The Weaver's Almanac",
        author="Ada Threadgold",
        year=1897,
        pages=212,
        language="English",
        summary="A year at the loom: patterns for every season, and why a broken thread is no reason to stop weaving.",
        reviews=(
            Review(reviewer="Mirjam", text="I came for the patterns and stayed for the chapter on knots."),
            Review(
                reviewer="Tomasz", text="Clear and patient, though the winter patterns ask for more than one evening."
            ),
        ),
        stars={"Mirjam": 5, "Tomasz": 4},
    ),
    "1": Book(
        title="Letters from a Quiet Harbour",
        author="Elias Kroon",
        year=1911,
        pages=148,
        language="English",
        summary="Forty letters of a harbour master who sees every ship, opens no crate, and knows where each one went.",
        reviews=(
            Review(reviewer="Ines", text="Nothing happens, beautifully."),
            Review(reviewer="Oluwaseun", text="The letter about the fog alone is worth the price."),
        ),
        stars={"Ines": 3, "Oluwaseun": 5},
    ),
}
"""By id, as it stands in URLs."""

"""The product page as HTML: plain, quick, readable by screen readers, light or dark as the browser likes it."""

from html import escape
from pathlib import Path
from string import Template
from typing import Any

from catalogue import Book
from messages import Identity, Response

_PAGE = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))

_LOGIN = """<form method="post" action="/login"><label for="user">Your name</label>
<input id="user" name="user" autocomplete="username" required maxlength="40"><button>Log in</button></form>"""

_LOGOUT = (
    """<form method="post" action="/logout"><span>Logged in as <b>{user}</b></span><button>Log out</button></form>"""
)


def render(book: Book, details: Response, reviews: Response, *, user: str | None, page_of: Identity) -> str:
    """Make the page. Where details or reviews have failed, it says so in their place."""
    return _PAGE.substitute(
        title=escape(book.title),
        summary=escape(book.summary),
        login=_LOGOUT.format(user=escape(user)) if user else _LOGIN,
        details=_details(details.json) if _is_usable(details) else _missing("details", details),
        reviews=_reviews(reviews.json) if _is_usable(reviews) else _missing("reviews", reviews),
        page_of=_name(page_of.as_json()),
    )


def _is_usable(answer: Response) -> bool:
    return answer.status == 200 and isinstance(answer.json, dict)


def _missing(what: str, answer: Response) -> str:
    return f'<p class="missing" role="status">The {what} are not available just now (status {answer.status}).</p>'


def _details(facts: dict[str, Any]) -> str:
    rows = "".join(
        f"<dt>{name.capitalize()}</dt><dd>{escape(str(facts.get(name, '')))}</dd>"
        for name in ("author", "year", "pages", "language")
    )
    return f"<dl>{rows}</dl>{_by(facts.get('served_by'))}"


def _reviews(answer: dict[str, Any]) -> str:
    quotes = "".join(_review(review) for review in answer.get("reviews", ()))
    return quotes + _by(answer.get("served_by"), answer.get("ratings_served_by"))


def _review(review: dict[str, Any]) -> str:
    text, reviewer = escape(review["text"]), escape(review["reviewer"])
    return f"<blockquote>{text}<br>— {reviewer} {_stars(review.get('rating'))}</blockquote>"


def _stars(rating: dict[str, Any] | None) -> str:
    """Draw stars; read aloud they are a number. v1 has none at all."""
    if not rating:
        return ""
    if "error" in rating:
        return f'<span class="missing">{escape(rating["error"])}</span>'
    count = int(rating["stars"])
    colour = "red" if rating["color"] == "red" else "black"
    drawn = "★" * count + "☆" * (5 - count)
    return f'<span class="stars {colour}" role="img" aria-label="{count} of 5 stars">{drawn}</span>'


def _by(*who: dict[str, str] | None) -> str:
    """Name the pods that a section comes from."""
    return f'<p class="by">From {" and ".join(_name(one) for one in who if one)}</p>'


def _name(who: dict[str, str]) -> str:
    return escape(f"{who['service']} {who['version']} ({who['pod']})")

"""The bookshop's services: what they answer, what they pass on, and how they bear the failure of others."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

Start = Callable[..., Any]
Shop = dict[str, str]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client of another make than the services' own."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


@pytest.fixture
async def recorded() -> AsyncIterator[tuple[str, list[str]]]:
    """A server that keeps the requests it gets, and answers them with an empty JSON object in chunks."""
    requests: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\nend: yes\r\n\r\n"
        )
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", requests
    server.close()


async def test_the_page_shows_details_reviews_and_stars(whole_shop: Shop, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{whole_shop['productpage']}/productpage") as answer:
        page = await answer.text()
    assert answer.status == 200
    assert answer.headers["x-served-by"] == "productpage/v1/productpage-v1-0"
    for expected in (
        "Ada Threadgold",
        "Mirjam",
        'aria-label="5 of 5 stars"',
        "stars black",
        "reviews v2 (reviews-v2-0)",
    ):
        assert expected in page


@pytest.mark.parametrize(("version", "colour"), [("v1", None), ("v2", "black"), ("v3", "red"), ("v9", None)])
async def test_versions_of_reviews_differ_in_their_stars(
    version: str, colour: str | None, start: Start, http: aiohttp.ClientSession
) -> None:
    reviews = await start("reviews", version, RATINGS_URL=await start("ratings"))
    answer = await (await http.get(f"{reviews}/reviews/0")).json()
    assert answer["served_by"] == {"service": "reviews", "version": version, "pod": f"reviews-{version}-0"}
    ratings = [review.get("rating") for review in answer["reviews"]]
    if colour is None:
        assert ratings == [None, None]
    else:
        assert ratings == [{"stars": 5, "color": colour}, {"stars": 4, "color": colour}]
        assert answer["ratings_served_by"]["service"] == "ratings"


@pytest.mark.parametrize("path", ["", "/0", "/0/reviews", "/0/ratings"])
async def test_every_answer_of_the_api_says_who_gave_it(
    path: str, whole_shop: Shop, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{whole_shop['productpage']}/api/v1/products{path}") as answer:
        assert answer.status == 200
        assert (await answer.json())["served_by"]["pod"]


@pytest.mark.parametrize("path", ["/api/v1/products/7", "/api/v1/products/0/sales", "/nothing", "/productpage?id=7"])
async def test_what_does_not_exist_is_a_404(path: str, whole_shop: Shop, http: aiohttp.ClientSession) -> None:
    assert (await http.get(whole_shop["productpage"] + path)).status == 404


async def test_trace_headers_and_user_are_passed_on_and_nothing_else(
    start: Start, http: aiohttp.ClientSession, recorded: tuple[str, list[str]], shop: Any
) -> None:
    url, requests = recorded
    reviews = await start("reviews", "v3", RATINGS_URL=url)
    sent = {name: f"value of {name}" for name in shop.messages.PASSED_ON}
    await http.get(f"{reviews}/reviews/0", headers=sent | {"authorization": "secret"})
    received = requests[0].lower()
    assert all(f"\r\n{name}: value of {name}\r\n" in received for name in shop.messages.PASSED_ON)
    assert "secret" not in received


async def test_calls_go_through_the_proxy_in_absolute_form(
    start: Start, http: aiohttp.ClientSession, recorded: tuple[str, list[str]]
) -> None:
    proxy, requests = recorded
    page = await start("productpage", HTTP_PROXY=proxy)
    await http.get(f"{page}/api/v1/products/0/ratings?delay=0.1")
    assert requests[0].startswith("GET http://ratings:9080/ratings/0?delay=0.1 HTTP/1.1\r\nhost: ratings:9080\r\n")


async def test_the_user_of_the_cookie_becomes_the_end_user(
    start: Start, http: aiohttp.ClientSession, recorded: tuple[str, list[str]]
) -> None:
    url, requests = recorded
    page = await start("productpage", DETAILS_URL=url, REVIEWS_URL=url)
    await http.get(f"{page}/api/v1/products/0", headers={"cookie": "user=jason"})
    assert "\r\nend-user: jason\r\n" in requests[0]


async def test_logging_in_sets_a_cookie_and_logging_out_removes_it(
    whole_shop: Shop, http: aiohttp.ClientSession
) -> None:
    page = whole_shop["productpage"]
    entered = await http.post(f"{page}/login", data={"user": "jason"}, allow_redirects=False)
    assert (entered.status, entered.headers["location"]) == (303, "/productpage")
    assert entered.headers["set-cookie"].startswith("user=jason;")
    greeted = await http.get(f"{page}/productpage", headers={"cookie": "user=jason"})
    assert "Logged in as <b>jason</b>" in await greeted.text()
    left = await http.post(f"{page}/logout", allow_redirects=False)
    assert "Max-Age=0" in left.headers["set-cookie"]


@pytest.mark.parametrize("name", ["", "<script>", "a b", "x\r\nset-cookie: y", "n" * 41])
async def test_names_that_fit_no_cookie_are_refused(name: str, whole_shop: Shop, http: aiohttp.ClientSession) -> None:
    answer = await http.post(f"{whole_shop['productpage']}/login", data={"user": name}, allow_redirects=False)
    assert answer.status == 400
    assert "set-cookie" not in answer.headers


async def test_the_page_comes_without_what_fails(start: Start, http: aiohttp.ClientSession) -> None:
    nobody = "http://127.0.0.1:1"
    page = await start("productpage", DETAILS_URL=nobody, REVIEWS_URL=nobody)
    async with http.get(f"{page}/productpage") as answer:
        text = await answer.text()
    assert answer.status == 200
    assert "The details are not available just now (status 502)" in text
    assert "The reviews are not available just now (status 502)" in text


async def test_reviews_come_without_ratings_that_fail(start: Start, http: aiohttp.ClientSession) -> None:
    ratings = await start("ratings", RATINGS_FAIL="503")
    reviews = await start("reviews", "v2", RATINGS_URL=ratings)
    page = await start("productpage", DETAILS_URL=await start("details"), REVIEWS_URL=reviews)
    answer = await (await http.get(f"{reviews}/reviews/0")).json()
    assert answer["ratings_status"] == 503
    assert all("error" in review["rating"] for review in answer["reviews"])
    assert "The ratings are not available just now." in await (await http.get(f"{page}/productpage")).text()


async def test_ratings_fail_and_wait_as_asked(start: Start, http: aiohttp.ClientSession) -> None:
    ratings = await start("ratings")
    begin = time.monotonic()
    slow = await http.get(f"{ratings}/ratings/0?delay=0.2s&fail=418")
    assert slow.status == 418
    assert time.monotonic() - begin >= 0.2
    assert (await http.get(f"{ratings}/ratings/0")).status == 200
    await http.post(f"{ratings}/admin/fail?status=500")
    assert (await http.get(f"{ratings}/ratings/0")).status == 500
    await http.post(f"{ratings}/admin/recover")
    assert (await http.get(f"{ratings}/ratings/0")).status == 200


@pytest.mark.parametrize("query", ["delay=never", "delay=-1", "delay=nan", "delay=9999", "fail=7", "fail=no"])
async def test_impossible_wishes_are_refused(query: str, start: Start, http: aiohttp.ClientSession) -> None:
    assert (await http.get(f"{await start('ratings')}/ratings/0?{query}")).status == 400


async def test_a_proxys_plain_error_reaches_the_apis_caller(
    start: Start, http: aiohttp.ClientSession, shop: Any
) -> None:
    async def overloaded(request: Any) -> Any:
        return shop.messages.Response(
            status=503, body=b"upstream connect error", headers={"content-type": "text/plain"}
        )

    identity = shop.messages.Identity(service="envoy", version="v1", pod="envoy-0")
    server = await shop.server.listen(identity, overloaded, host="127.0.0.1", port=0)
    page = await start("productpage", REVIEWS_URL=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    answer = await http.get(f"{page}/api/v1/products/0/reviews")
    server.close()
    assert answer.status == 503
    assert await answer.json() == {"error": "upstream connect error"}


async def test_a_connection_serves_many_requests_and_a_head_has_no_body(start: Start) -> None:
    details = await start("details")
    reader, writer = await asyncio.open_connection("127.0.0.1", int(details.rpartition(":")[2]))
    writer.write(
        b"HEAD /details/0 HTTP/1.1\r\nhost: x\r\n\r\nGET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    head, health, nothing = (await reader.read()).partition(b'{"status": "ok"}\n')
    writer.close()
    assert health
    assert not nothing
    assert head.count(b"HTTP/1.1 200 OK") == 2
    assert b"Ada" not in head


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\ncontent-length: -5\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
    ],
)
async def test_malformed_requests_get_a_400_and_the_service_lives_on(
    sent: bytes, start: Start, http: aiohttp.ClientSession
) -> None:
    details = await start("details")
    reader, writer = await asyncio.open_connection("127.0.0.1", int(details.rpartition(":")[2]))
    writer.write(sent)
    assert (await reader.readline()).startswith(b"HTTP/1.1 400")
    writer.close()
    assert (await http.get(f"{details}/details/0")).status == 200


@contextlib.contextmanager
def running(service: str, examples: Path, environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A service in a process of its own, and its port."""
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        port = placeholder.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "services", service],
        cwd=examples / "bookshop",
        # PYTHONSAFEPATH keeps the folder off the import path; running a folder puts it back on.
        env=environment | {"PORT": str(port), "PYTHONSAFEPATH": "1", "VERSION": "v2"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == f"{service} v2 listens on 127.0.0.1:{port}\n"
        yield process, port


@pytest.mark.parametrize("service", ["productpage", "details", "reviews", "ratings"])
def test_a_service_runs_as_a_process_and_ends_on_sigterm(
    service: str, examples: Path, quiet_environment: dict[str, str]
) -> None:
    with running(service, examples, quiet_environment) as (process, _port):
        process.terminate()
        assert process.wait(5) == 0


async def test_a_request_that_has_begun_is_answered_before_the_end(
    examples: Path, quiet_environment: dict[str, str], http: aiohttp.ClientSession
) -> None:
    with running("ratings", examples, quiet_environment) as (process, port):
        slow = asyncio.create_task(http.get(f"http://127.0.0.1:{port}/ratings/0?delay=1"))
        await asyncio.sleep(0.3)
        process.terminate()
        answer = await slow
        assert answer.status == 200
        assert answer.headers["connection"] == "close"
        assert await asyncio.to_thread(process.wait, 5) == 0


def test_an_unknown_service_is_explained(examples: Path) -> None:
    run = subprocess.run(
        [sys.executable, "services", "sales"],
        cwd=examples / "bookshop",
        capture_output=True,
        check=False,
        text=True,
    )
    assert run.returncode == 1
    assert run.stderr == "usage: python services {productpage,details,reviews,ratings}\n"

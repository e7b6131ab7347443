"""Each file of examples/features, copied in beside the bookshop: its effect in real traffic, and none once it is gone.

A test's name is its file's name. Shares are of so many requests that chance misses the bounds once in a million runs.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.standalone.conftest import Answer, Client, Mesh

pytestmark = pytest.mark.envoy

FEATURES = Path(__file__).parents[2] / "examples" / "features"
PAGE = "/productpage"
DETAILS = "/api/v1/products/0"
REVIEWS = "/api/v1/products/0/reviews"
RATINGS = "/api/v1/products/0/ratings"
MAIN_RATINGS = "ratings-v1-0"

Eventually = Callable[..., Awaitable[None]]


@pytest.fixture
async def feature(
    request: pytest.FixtureRequest, shop: "Mesh", gateway: "Client", eventually: Eventually
) -> AsyncIterator[str]:
    """The name of the file that the test is called after, copied in for its time; then the sample is as before."""
    name = request.function.__name__.removeprefix("test_").replace("_", "-") + ".yaml"
    shop.apply(name, (FEATURES / name).read_text())
    yield name
    shop.restore()
    await eventually(lambda: sample_is_as_it_was(gateway), seconds=15)


async def sample_is_as_it_was(gateway: "Client") -> None:
    """What every feature changes some of: versions, pods, failures, delays, paths at the gateway."""
    reviews = await gateway.many(30, REVIEWS) + await gateway.many(10, REVIEWS, end_user="jason")
    assert statuses(reviews) == {200}
    assert {answer.version for answer in reviews} == {"v1", "v2", "v3"}
    assert {answer.json.get("ratings_status", 200) for answer in reviews} == {200}
    ratings = await gateway.many(10, RATINGS) + await gateway.many(2, RATINGS, end_user="jason")
    assert {(answer.status, answer.version, answer.pod) for answer in ratings} == {(200, "v1", MAIN_RATINGS)}
    assert max(answer.seconds for answer in reviews + ratings) < 0.5
    assert [(await gateway.get(path)).status for path in (DETAILS, "/books", "/public/0")] == [200, 404, 404]


def statuses(answers: "list[Answer]") -> set[int]:
    return {answer.status for answer in answers}


def near(count: int, total: int, share: float) -> bool:
    """Whether a count is within five standard deviations of what the share of a binomial distribution gives."""
    return abs(count - total * share) <= 5 * sqrt(total * share * (1 - share))


async def cluster(admin: "Client", host: str) -> list[dict[str, Any]]:
    """The endpoints of a service as a proxy has them: address, locality, priority, health."""
    wanted = f"outbound|9080||{host}.default.svc.cluster.local"
    statuses = (await admin.get("/clusters?format=json")).json["cluster_statuses"]
    return [host for each in statuses if each["name"] == wanted for host in each.get("host_statuses", [])]


async def stat(admin: "Client", name: str) -> int:
    """The sum of a proxy's counters or gauges whose names match."""
    lines = (await admin.get(f"/stats?usedonly&filter={name}")).body.decode().splitlines()
    return sum(int(line.rpartition(": ")[2]) for line in lines)


@pytest.fixture
def caller(shop: "Mesh", connect: "Callable[[int], Client]") -> "Client":
    """The admin interface of productpage's sidecar, which calls all the others."""
    return connect(shop.admin("productpage-v1-0"))


def test_every_feature_has_its_test() -> None:
    names = {path.stem.replace("-", "_") for path in FEATURES.iterdir()}
    assert names <= {name.removeprefix("test_") for name in globals()}


# Where requests go


async def test_traffic_by_weight(feature: str, gateway: "Client", eventually: Eventually) -> None:
    async def begun() -> None:
        assert "v2" not in {answer.version for answer in await gateway.many(20, REVIEWS)}

    await eventually(begun)
    count = Counter(answer.version for answer in await gateway.many(600, REVIEWS))
    assert set(count) == {"v1", "v3"}
    assert near(count["v1"], 600, 0.75)


async def test_traffic_by_version(feature: str, gateway: "Client", eventually: Eventually) -> None:
    async def begun() -> None:
        assert {answer.version for answer in await gateway.many(10, REVIEWS)} == {"v3"}

    await eventually(begun)
    answers = await gateway.many(100, REVIEWS)
    assert Counter(answer.version for answer in answers) == {"v3": 100}
    assert {review["rating"]["color"] for answer in answers for review in answer.json["reviews"]} == {"red"}


async def test_traffic_by_header(feature: str, gateway: "Client", eventually: Eventually) -> None:
    async def begun() -> None:
        assert {answer.version for answer in await gateway.many(10, REVIEWS)} == {"v1"}

    await eventually(begun)
    everybody, other, jason, logged_in = await asyncio.gather(
        gateway.many(50, REVIEWS, at_a_time=2),
        gateway.many(50, REVIEWS, at_a_time=2, end_user="jasonette"),
        gateway.many(50, REVIEWS, at_a_time=2, end_user="jason"),
        gateway.many(50, REVIEWS, at_a_time=2, cookie="user=jason"),
    )
    assert {answer.version for answer in everybody + other} == {"v1"}
    assert {answer.version for answer in jason + logged_in} == {"v2"}


async def test_traffic_by_source(feature: str, gateway: "Client", eventually: Eventually) -> None:
    async def begun() -> None:
        for answer in await gateway.many(10, REVIEWS):
            assert answer.version == "v3"
            assert answer.json["ratings_status"] == 200
            assert answer.json["ratings_served_by"]["pod"] == "ratings-v2-0"

    await eventually(begun, seconds=15)
    from_reviews, from_page = await asyncio.gather(
        gateway.many(50, REVIEWS, at_a_time=4), gateway.many(50, RATINGS, at_a_time=4)
    )
    assert {answer.json["ratings_served_by"]["version"] for answer in from_reviews} == {"v2"}
    assert {answer.version for answer in from_page} == {"v1"}


async def test_locality_distribute(feature: str, gateway: "Client", eventually: Eventually) -> None:
    async def begun() -> None:
        assert "ratings-south-0" in {answer.pod for answer in await gateway.many(20, RATINGS)}

    await eventually(begun, seconds=15)
    answers = await gateway.many(600, RATINGS)
    assert statuses(answers) == {200}
    count = Counter(answer.pod for answer in answers)
    assert set(count) == {MAIN_RATINGS, "ratings-south-0"}
    assert near(count[MAIN_RATINGS], 600, 0.8)


async def test_locality_failover(
    feature: str, shop: "Mesh", gateway: "Client", caller: "Client", eventually: Eventually
) -> None:
    async def begun() -> None:
        assert {endpoint.get("priority", 0) for endpoint in await cluster(caller, "ratings")} == {0, 1}

    async def far() -> None:
        assert {answer.pod for answer in await gateway.many(10, RATINGS)} == {"ratings-far-0"}

    await eventually(begun, seconds=15)
    near_by = await gateway.many(100, RATINGS)
    assert {(answer.status, answer.pod) for answer in near_by} == {(200, MAIN_RATINGS)}
    failing = 'RATINGS_FAIL, value: "503"'
    shop.edit("ratings.yaml", 'RATINGS_FAIL, value: ""', failing)
    await eventually(far, seconds=20)
    answers = await gateway.many(50, RATINGS)
    assert {(answer.status, answer.pod) for answer in answers} == {(200, "ratings-far-0")}
    shop.restore()


# Who may


async def test_authorization_deny(feature: str, gateway: "Client", eventually: Eventually) -> None:
    async def begun() -> None:
        assert statuses(await gateway.many(50, RATINGS)) == {403}  # also over connections that were there before

    await eventually(begun)
    denied = await gateway.many(50, RATINGS)
    assert {(answer.status, answer.json.get("error")) for answer in denied} == {(403, "RBAC: access denied")}
    reviews = await gateway.many(60, REVIEWS)
    assert {answer.version for answer in reviews} == {"v1", "v2", "v3"}
    assert {answer.json.get("ratings_status", 200) for answer in reviews} == {200}
    assert statuses(await gateway.many(10, DETAILS) + await gateway.many(10, PAGE)) == {200}


# What is too much


async def test_request_timeout(feature: str, shop: "Mesh", gateway: "Client", eventually: Eventually) -> None:
    async def begun() -> None:
        assert (await gateway.get(REVIEWS)).status == 504

    async def longer() -> None:
        answer = await gateway.get(REVIEWS)
        assert (answer.status, answer.version, answer.json.get("ratings_status")) == (200, "v2", 200)
        assert 1.98 <= answer.seconds < 3.0

    await eventually(begun)
    answers = await gateway.many(20, REVIEWS)
    assert statuses(answers) == {504}
    seconds = sorted(answer.seconds for answer in answers)
    # Not before its time (but for a timer's grain), on time by and large, and never only when the service would answer.
    assert seconds[0] >= 0.49
    assert seconds[10] < 0.7
    assert seconds[-1] < 2.0
    page = await gateway.get(PAGE)
    assert page.status == 200
    assert b"The reviews are not available just now" in page.body
    assert 0.49 <= page.seconds < 2.0
    shop.edit(feature, "timeout: 0.5s", "timeout: 3s")
    await eventually(longer)


async def test_connection_limits(feature: str, gateway: "Client", caller: "Client", eventually: Eventually) -> None:
    overflows = "^cluster.outbound.9080..ratings.*upstream_rq_pending_overflow"

    async def begun() -> None:
        # By the caller's own count: ratings' sidecar has the limit too, and may have it before the caller does.
        before = await stat(caller, overflows)
        await gateway.many(10, RATINGS + "?delay=0.2", at_a_time=10)
        assert await stat(caller, overflows) > before

    await eventually(begun)
    before = await stat(caller, overflows)
    count = Counter(answer.status for answer in await gateway.many(10, RATINGS + "?delay=0.5", at_a_time=10))
    assert set(count) == {200, 503}
    assert count[200] >= 2  # one on the connection, one that may wait
    assert await stat(caller, overflows) - before == count[503]
    assert statuses(await gateway.many(20, RATINGS, at_a_time=1)) == {200}
    assert statuses(await gateway.many(20, REVIEWS, at_a_time=10)) == {200}


async def test_outlier_detection(
    feature: str, shop: "Mesh", gateway: "Client", caller: "Client", eventually: Eventually
) -> None:
    failures: list[int] = []

    async def begun() -> None:
        failures.append((await gateway.get(RATINGS)).status)
        assert 500 in failures

    async def ejected() -> None:
        failures.append((await gateway.get(RATINGS)).status)
        assert await stat(caller, "^cluster.outbound.9080..ratings.*outlier_detection.ejections_active") == 1
        assert {answer.pod for answer in await gateway.many(10, RATINGS)} == {MAIN_RATINGS}

    await eventually(begun, seconds=15)
    await eventually(ejected)  # Envoy tells its workers of changes in health once a second
    assert failures.count(500) >= 3
    asked = len(requests_to(shop, "ratings-broken-0"))
    answers = await gateway.many(100, RATINGS)
    assert {(answer.status, answer.pod) for answer in answers} == {(200, MAIN_RATINGS)}
    assert len(requests_to(shop, "ratings-broken-0")) == asked
    broken = [endpoint for endpoint in await cluster(caller, "ratings") if "failed_outlier_check" in str(endpoint)]
    assert len(broken) == 1


async def test_retries(feature: str, shop: "Mesh", gateway: "Client", eventually: Eventually) -> None:
    async def begun() -> None:
        assert statuses(await gateway.many(10, RATINGS)) == {200}
        assert len(requests_to(shop, "ratings-broken-0")) > said

    async def without() -> None:
        assert 503 in statuses(await gateway.many(10, RATINGS))

    said = len(requests_to(shop, "ratings-broken-0"))
    await eventually(begun, seconds=15)
    before = len(requests_to(shop, "ratings-broken-0"))
    answers = await gateway.many(200, RATINGS)
    assert {(answer.status, answer.pod) for answer in answers} == {(200, MAIN_RATINGS)}
    failed = requests_to(shop, "ratings-broken-0")[before:]
    assert {line.split()[2] for line in failed} == {"503"}
    assert len(failed) > 200 * 0.25
    shop.apply(feature, re.sub(r"attempts: 5\n.*\n.*\n", "attempts: 0\n", (FEATURES / feature).read_text()))
    await eventually(without)
    count = Counter(answer.status for answer in await gateway.many(200, RATINGS))
    assert set(count) == {200, 503}
    assert near(count[503], 200, 0.5)


def requests_to(shop: "Mesh", pod: str) -> list[str]:
    """What a pod's application has said of the requests that it got: `GET PATH STATUS MILLISECONDS ms TRACE`."""
    return [line for line in shop.log(pod) if line.startswith("GET ")]


# What goes wrong on purpose


async def test_fault_delay(feature: str, gateway: "Client", eventually: Eventually) -> None:
    async def begun() -> None:
        assert (await gateway.get(RATINGS, end_user="jason")).seconds >= 2.0

    await eventually(begun)
    jason, everybody = await asyncio.gather(
        gateway.many(8, RATINGS, end_user="jason"), gateway.many(100, RATINGS, at_a_time=2)
    )
    assert statuses(jason + everybody) == {200}
    assert all(1.98 <= answer.seconds < 3.5 for answer in jason)
    assert max(answer.seconds for answer in everybody) < 1.9


async def test_fault_abort(feature: str, shop: "Mesh", gateway: "Client", eventually: Eventually) -> None:
    async def begun() -> None:
        assert 500 in statuses(await gateway.many(10, RATINGS))

    await eventually(begun)
    before = len(requests_to(shop, MAIN_RATINGS))
    answers = await gateway.many(600, RATINGS)
    count = Counter((answer.status, answer.json.get("error")) for answer in answers)
    assert set(count) == {(200, None), (500, "fault filter abort")}
    assert near(count[500, "fault filter abort"], 600, 0.5)
    assert len(requests_to(shop, MAIN_RATINGS)) - before == count[200, None]


async def test_mirror(feature: str, shop: "Mesh", gateway: "Client", eventually: Eventually) -> None:
    def traces(pod: str, before: int) -> set[str]:
        return {line.split()[-1] for line in requests_to(shop, pod)[before:]}

    async def begun() -> None:
        before = len(requests_to(shop, "reviews-v3-0"))
        assert {answer.version for answer in await gateway.many(5, REVIEWS)} == {"v1"}
        assert len(requests_to(shop, "reviews-v3-0")) == before + 5

    async def copied() -> None:
        originals = traces("reviews-v1-0", answered)
        assert len(originals) == 100
        assert traces("reviews-v3-0", mirrored) == originals

    await eventually(begun)
    answered, mirrored = (len(requests_to(shop, pod)) for pod in ("reviews-v1-0", "reviews-v3-0"))
    answers = await gateway.many(100, REVIEWS)
    assert {(answer.status, answer.version) for answer in answers} == {(200, "v1")}
    await eventually(copied)


# At the gateway


async def test_redirect_rewrite(feature: str, shop: "Mesh", gateway: "Client", eventually: Eventually) -> None:
    async def begun() -> None:
        assert (await gateway.get("/books")).status == 302

    await eventually(begun)
    assert (await gateway.get("/books")).headers["location"] == f"http://localhost:{shop.port}/productpage"
    assert (await gateway.get("/books/1")).status == 404
    renamed = await gateway.get("/catalogue/0")
    assert (renamed.status, renamed.json) == (200, (await gateway.get(DETAILS)).json)
    assert statuses(await gateway.many(10, PAGE)) == {200}


async def test_cors(feature: str, gateway: "Client", eventually: Eventually) -> None:
    friend, stranger = "https://books.example", "https://evil.example"

    async def preflight(origin: str) -> "Answer":
        return await gateway.get("/public/0", method="OPTIONS", origin=origin, access_control_request_method="GET")

    async def begun() -> None:
        assert (await gateway.get("/public/0")).status == 200

    await eventually(begun)
    allowed = await preflight(friend)
    assert allowed.status == 200
    granted = {name: value for name, value in allowed.headers.items() if name.startswith("access-control-")}
    assert granted == {
        "access-control-allow-origin": friend,
        "access-control-allow-methods": "GET",
        "access-control-max-age": "600",
    }
    assert (await gateway.get("/public/0", origin=friend)).headers["access-control-allow-origin"] == friend
    for answer in (await preflight(stranger), await gateway.get("/public/0", origin=stranger)):
        assert "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-origin" not in (await gateway.get(DETAILS, origin=friend)).headers

"""Whatever happens in whatever order: in the end every proxy has what the catalog holds, and nothing that it refused.

The proxies here follow Envoy: they ask for the endpoints of their clusters and the routes of their listeners, take
virtual hosts of route configurations that they have and drop others, apply nothing of a response that has a bad
resource in it, and claim on reconnecting what they have ACKed.
"""

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from weft_xds.types import CDS, EDS, LDS, PUSH_ORDER, RDS, VHDS
from weft_xds.view import scope_of

if TYPE_CHECKING:
    from tests.unit.xds.conftest import Answer, Proxy, World

TYPES = (CDS, EDS, LDS, RDS, VHDS)
NAMES = {
    CDS: ("a", "b", "c"),
    EDS: ("a", "b", "c"),
    LDS: ("80", "90"),
    RDS: ("80", "90"),
    VHDS: ("80/x", "80/y", "90/x"),
}
ALL = [(type_url, name) for type_url, names in NAMES.items() for name in names]
RESOURCES = st.sampled_from(ALL)
CONTENTS = st.sampled_from(["1", "2", "bad 1", "bad 2"])


class Envoy:
    """A proxy that behaves as Envoy does, on a stream that is driven by hand."""

    def __init__(self, proxy: "Proxy") -> None:
        self.proxy = proxy
        self.have: dict[str, dict[str, str]] = {type_url: {} for type_url in TYPES}
        self.claims: dict[str, dict[str, str]] = {type_url: {} for type_url in TYPES}
        self.inbox: list[Answer] = []
        self.boot()

    def boot(self) -> None:
        """Ask for everything, as on a new stream."""
        self.asked: dict[str, set[str]] = {}
        self._ask(CDS)
        self._ask(LDS)
        self._subscribe()

    def reconnect(self) -> None:
        """Lose the stream, with whatever is on its way, and open another."""
        self.proxy.disconnect()
        self.inbox.clear()
        self.proxy.connect()
        self.boot()

    def _ask(self, type_url: str, *names: str, without: tuple[str, ...] = ()) -> None:
        first = type_url not in self.asked
        self.asked.setdefault(type_url, set()).update(names)
        self.asked[type_url] -= set(without)
        for name in without:
            self.claims[type_url].pop(name, None)
            self.have[type_url].pop(name, None)
        held = self.claims[type_url] if first else {}
        self.inbox += self.proxy.ask(type_url, *names, without=without, held=dict(held))

    def _subscribe(self) -> None:
        """Ask for what has become interesting, and no more for what has not."""
        for type_url, cause in ((EDS, CDS), (RDS, LDS)):
            wanted, asked = set(self.have[cause]), self.asked.get(type_url, set())
            if wanted != asked:
                new, old = tuple(sorted(wanted - asked)), tuple(sorted(asked - wanted))
                self._ask(type_url, *new, without=old)
        if self.have[RDS] and VHDS not in self.asked:
            self._ask(VHDS)
        self.have[VHDS] = {n: v for n, v in self.have[VHDS].items() if scope_of(n) in self.have[RDS]}

    def answer(self) -> None:
        """Take the oldest response from the inbox, apply or refuse it."""
        answer = self.inbox.pop(0)
        bad = sorted(name for name, version in answer.added.items() if version.startswith("bad"))
        if bad:
            self.inbox += self.proxy.nack(answer, f"refused: {bad[0]}")
            return
        have, claims = self.have[answer.type_url], self.claims[answer.type_url]
        for name, version in answer.added.items():
            if answer.type_url in {EDS, RDS} and name not in self.asked[answer.type_url]:
                continue  # given up while it was on its way
            claims[name] = version
            if answer.type_url != VHDS or scope_of(name) in self.have[RDS]:
                have[name] = version
        for name in answer.removed:
            claims.pop(name, None)
            if answer.type_url != RDS:  # which Envoy ignores, beyond claiming it no more
                have.pop(name, None)
        self.inbox += self.proxy.ack(answer)
        self._subscribe()


class Mesh(RuleBasedStateMachine):
    """Two proxies over one catalog."""

    make: Any = None
    section: Any = None

    @initialize(filled=st.booleans())
    def start(self, filled: bool) -> None:
        self.world: World = self.make[0]()
        self.uprooted: set[str] = set()
        """Route configurations that were removed, and have come back in refused versions only."""
        self.sections = {type_url: self.section(type_url, "all") for type_url in TYPES}
        for type_url, name in ALL if filled else ():
            self.put((type_url, name), "1")
        proxies = [
            self.make[1](self.world, self.world.proxy(name, *self.sections.values())) for name in ("first", "second")
        ]
        self.envoys = [Envoy(proxy) for proxy in proxies]
        for envoy in self.envoys:
            self.catch_up(envoy)

    def _deliver(self) -> None:
        self.world.commit()
        for envoy in self.envoys:
            envoy.inbox += envoy.proxy.take()

    @rule(resource=RESOURCES, content=CONTENTS)
    def put(self, resource: tuple[str, str], content: str) -> None:
        if resource[0] == RDS and not content.startswith("bad"):
            self.uprooted.discard(resource[1])
        self.world.put(self.sections[resource[0]], resource[1], content)

    @rule(resource=RESOURCES)
    def remove(self, resource: tuple[str, str]) -> None:
        if resource[0] == RDS:
            self.uprooted.add(resource[1])
        self.world.remove(self.sections[resource[0]], resource[1])

    @rule(resource=RESOURCES, which=st.integers(0, 1))
    def delete_and_recreate(self, resource: tuple[str, str], which: int) -> None:
        """As a user does; one of the proxies is quick enough to see both."""
        self.remove(resource)
        self._deliver()
        self.catch_up(self.envoys[which])
        self.put(resource, "1")
        self._deliver()

    @rule()
    def commit(self) -> None:
        self._deliver()

    @rule(which=st.integers(0, 1), responses=st.integers(1, 6))
    def answer(self, which: int, responses: int) -> None:
        for _ in range(min(responses, len(self.envoys[which].inbox))):
            self.envoys[which].answer()

    @staticmethod
    def catch_up(envoy: Envoy) -> None:
        """Answer everything that comes."""
        while envoy.inbox:
            envoy.answer()

    @rule(which=st.integers(0, 1))
    def answer_everything(self, which: int) -> None:
        self.catch_up(self.envoys[which])

    @rule(which=st.integers(0, 1))
    def reconnect(self, which: int) -> None:
        self.envoys[which].reconnect()

    @rule(which=st.integers(0, 1), seconds=st.sampled_from([1.0, 6.0]))
    def wait(self, which: int, seconds: float) -> None:
        envoy = self.envoys[which]
        envoy.proxy.now += seconds
        envoy.inbox += envoy.proxy.take()

    @invariant()
    def nothing_refused_is_in_force(self) -> None:
        for envoy in getattr(self, "envoys", ()):
            assert not [v for have in envoy.have.values() for v in have.values() if v.startswith("bad")]

    @invariant()
    def few_responses_are_on_their_way(self) -> None:
        for envoy in getattr(self, "envoys", ()):
            for type_url in TYPES:
                assert len([a for a in envoy.inbox if a.type_url == type_url]) <= (4 if type_url == CDS else 1)

    def teardown(self) -> None:
        if not hasattr(self, "envoys"):
            return
        self._deliver()
        for _ in range(5):
            for envoy in self.envoys:
                self.catch_up(envoy)
                envoy.proxy.now += 6
                envoy.inbox += envoy.proxy.take()
        for envoy in self.envoys:
            assert envoy.inbox == []
            assert envoy.proxy.session.settled
            self._check(envoy)

    def orphans(self) -> set[str]:
        """Route configurations that Envoy goes on with although they are removed, or as they were before.

        A listener that still names one is the catalog's mistake, and its virtual hosts may then stay as they were.
        """
        keys = self.world.sections.peek(self.sections[RDS]) or ()
        return self.uprooted | (set(NAMES[RDS]) - {key.name for key in keys})

    def _check(self, envoy: Envoy) -> None:
        for type_url in PUSH_ORDER:
            if type_url not in TYPES:
                continue
            for name in NAMES[type_url]:
                keys = self.world.sections.peek(self.sections[type_url]) or ()
                content = next((self.world.contents.peek(key) for key in keys if key.name == name), None)
                have = envoy.have[type_url].get(name)
                wanted = {
                    EDS: name in envoy.have[CDS],
                    RDS: name in envoy.have[LDS],
                    VHDS: scope_of(name) in envoy.have[RDS],
                }.get(type_url, True)
                if not wanted or (content is None and type_url != RDS and scope_of(name) not in self.orphans()):
                    assert have is None, (type_url, name, have)
                elif content is None or scope_of(name) in self.orphans():
                    continue
                elif not content.startswith("bad"):
                    assert have == content, (type_url, name)


@pytest.fixture
def machine(world: "World", connect: Any, section: Any) -> type[Mesh]:
    """The machine, with classes that only fixtures have."""
    proxy = type(connect("probe"))
    return type("BoundMesh", (Mesh,), {"make": (type(world), proxy), "section": staticmethod(section)})


def test_in_the_end_every_proxy_has_what_the_catalog_holds(machine: type[Mesh]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=150,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )

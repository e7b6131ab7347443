"""How a DestinationRule spreads requests over endpoints: algorithm, consistent hashing, locality, warm-up."""

from collections.abc import Iterator
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from weft_core.model.base import Model, OpenModel, one_of, same_names, too_many
from weft_core.model.mistake import Mistake
from weft_core.model.scalars import Bool, Duration, DurationOrZero, FrozenMap, HeaderName, Int, NonEmpty, Number, UInt
from weft_core.problems import Code, Severity

MAX_RING_SIZE = 8 * 1024 * 1024
"""Envoy's own limit of a hash ring."""


class SimpleLB(StrEnum):
    """Algorithms that need no configuration."""

    UNSPECIFIED = "UNSPECIFIED"
    LEAST_CONN = "LEAST_CONN"
    RANDOM = "RANDOM"
    PASSTHROUGH = "PASSTHROUGH"
    ROUND_ROBIN = "ROUND_ROBIN"
    LEAST_REQUEST = "LEAST_REQUEST"


class CookieAttribute(Model):
    """An attribute of a generated cookie."""

    name: NonEmpty = Field(description="Name: SameSite, Secure …")
    value: str = Field("", description="Value, where the attribute has one.")


class HTTPCookie(Model):
    """A cookie as hash key, generated where `ttl` is given."""

    name: NonEmpty = Field(description="Name of the cookie.")
    path: str = Field("", description="Path for which it is set.")
    ttl: DurationOrZero | None = Field(None, description="Lifetime; 0s makes a session cookie.")
    attributes: tuple[CookieAttribute, ...] = Field((), description="Further attributes.")

    def check(self) -> Iterator[Mistake]:
        """Each attribute once."""
        yield from same_names([each.name for each in self.attributes], ("attributes",), "name", "attribute")


class RingHash(Model):
    """Hashing on a ring of virtual nodes."""

    minimum_ring_size: Int = Field(1024, ge=0, le=MAX_RING_SIZE, description="Virtual nodes at least.")


class MagLev(Model):
    """Hashing with a Maglev table."""

    table_size: Int = Field(65537, ge=2, le=5000011, description="Size of the table, a prime number.")

    def check(self) -> Iterator[Mistake]:
        """Maglev permutes modulo the table's size, so that must be prime."""
        if any(self.table_size % n == 0 for n in range(2, int(self.table_size**0.5) + 1)):
            yield Mistake(path=("tableSize",), message=f"{self.table_size} is not prime", fix="write 65537")


class ConsistentHashLB(Model):
    """The same key goes to the same endpoint while that lives."""

    http_header_name: HeaderName | None = Field(None, description="Hash a header.")
    http_cookie: HTTPCookie | None = Field(None, description="Hash a cookie.")
    use_source_ip: Bool | None = Field(None, description="Hash the caller's address.")
    http_query_parameter_name: NonEmpty | None = Field(None, description="Hash a query parameter.")
    ring_hash: RingHash | None = Field(None, description="Hash on a ring (the default).")
    maglev: MagLev | None = Field(None, description="Hash with Maglev.")
    minimum_ring_size: Int | None = Field(None, ge=0, le=MAX_RING_SIZE, description="Deprecated: see ringHash.")

    def check(self) -> Iterator[Mistake]:
        """One key, one algorithm."""
        keys = ("http_header_name", "http_cookie", "use_source_ip", "http_query_parameter_name")
        found = one_of(self, *keys)
        yield from too_many(found)
        if not found:
            yield Mistake(
                message="there is no key to hash",
                fix="add httpHeaderName, httpCookie, useSourceIp or httpQueryParameterName",
            )
        yield from too_many(one_of(self, "ring_hash", "maglev"))
        if self.minimum_ring_size is not None:
            yield Mistake(
                path=("minimumRingSize",),
                severity=Severity.WARNING,
                code=Code.DEPRECATED,
                message="minimumRingSize is deprecated",
                fix="write ringHash: {minimumRingSize: …}",
            )


class Distribute(Model):
    """Shares of the traffic that comes from one locality."""

    from_: NonEmpty = Field(alias="from", description="The callers' locality: region/zone/subzone, with a final *.")
    to: FrozenMap[NonEmpty, UInt] = Field(min_length=1, description="Per cent by locality; their sum is 100.")

    def check(self) -> Iterator[Mistake]:
        """Shares sum to 100, none is 0, localities are well-formed and do not overlap."""
        for path, locality in ((("from",), self.from_), *((("to", key), key) for key in self.to)):
            if reason := _locality_error(locality):
                yield Mistake(path=path, message=reason, fix="write region, region/zone or region/zone/subzone")
        for key, share in self.to.items():
            if not share:
                yield Mistake(path=("to", key), message="a share of 0", fix="leave the locality out")
        total = sum(self.to.values())
        if total != 100:
            yield Mistake(path=("to",), message=f"the shares sum to {total}, not 100", fix="make them sum to 100")


class Failover(Model):
    """The region that takes over for another."""

    from_: NonEmpty = Field(alias="from", description="The callers' region.")
    to: NonEmpty = Field(description="The region that is next.")

    def check(self) -> Iterator[Mistake]:
        """Two different regions, by name."""
        for name, region in (("from", self.from_), ("to", self.to)):
            if "/" in region or "*" in region:
                yield Mistake(path=(name,), message="failover is between regions", fix="write a region's name")
        if self.from_ == self.to:
            yield Mistake(path=("to",), message="the region fails over to itself", fix="name another region")


class LocalityLoadBalancerSetting(Model):
    """Preference for endpoints that are near."""

    distribute: tuple[Distribute, ...] = Field((), description="Fixed shares by locality.")
    failover: tuple[Failover, ...] = Field((), description="Order of regions when the own one is unhealthy.")
    failover_priority: tuple[NonEmpty, ...] = Field((), description="Labels (or label=value) that rank endpoints.")
    enabled: Bool | None = Field(None, description="Off or on for this destination.")

    def check(self) -> Iterator[Mistake]:
        """Shares or failover, and each origin once."""
        if self.distribute and (self.failover or self.failover_priority):
            yield from too_many(["distribute", "failover" if self.failover else "failoverPriority"])
        for name, origins in (
            ("distribute", [d.from_ for d in self.distribute]),
            ("failover", [f.from_ for f in self.failover]),
        ):
            for index, origin in enumerate(origins):
                if origin in origins[:index]:
                    yield Mistake(path=(name, index, "from"), message=f"`{origin}` occurs twice", fix="merge them")

    @property
    def needs_outlier_detection(self) -> bool:
        """Whether it describes failover, which never happens while no endpoint is found unhealthy."""
        return self.enabled is not False and bool(self.failover or self.failover_priority)


class WarmupConfiguration(Model):
    """New endpoints get little traffic first."""

    duration: Duration = Field(description="How long an endpoint warms up.")
    minimum_percent: Number | None = Field(None, ge=0, le=100, description="Share at the beginning; 10 by default.")
    aggression: Number | None = Field(None, ge=1, description="Speed of the increase; 1 (linear) by default.")


class LoadBalancerSettings(OpenModel):
    """The algorithm, and preferences among endpoints."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset({"zoneAwareLbSetting"})

    simple: SimpleLB | None = Field(None, description="LEAST_REQUEST (the default), ROUND_ROBIN, RANDOM, PASSTHROUGH.")
    consistent_hash: ConsistentHashLB | None = Field(None, description="The same key to the same endpoint.")
    locality_lb_setting: LocalityLoadBalancerSetting | None = Field(None, description="Prefer near endpoints.")
    warmup_duration_secs: DurationOrZero | None = Field(None, description="Deprecated: see warmup.")
    warmup: WarmupConfiguration | None = Field(None, description="New endpoints get little traffic first.")

    def check(self) -> Iterator[Mistake]:
        """One algorithm."""
        yield from super().check()
        yield from too_many(one_of(self, "simple", "consistent_hash"))
        yield from too_many(one_of(self, "warmup_duration_secs", "warmup"))
        if self.consistent_hash and self.warmup:
            yield Mistake(
                path=("warmup",),
                severity=Severity.WARNING,
                code=Code.SCHEMA_WARNING,
                message="warmup has no effect on consistent hashing",
                fix="use simple: ROUND_ROBIN or LEAST_REQUEST",
            )


def _locality_error(locality: str) -> str | None:
    """Why `region/zone/subzone` is no locality; a `*` may stand at the end only."""
    parts = locality.split("/")
    if len(parts) > 3 or not all(parts):
        return f"`{locality}` is no locality"
    if any("*" in p for p in parts[:-1]) or ("*" in parts[-1] and parts[-1] != "*"):
        return f"in `{locality}` a * stands elsewhere than as the last part"
    return None

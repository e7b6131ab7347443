"""When a certificate is renewed, and how soon again after a failure: arithmetic on times, without a clock."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from weft_injector.ca.authority import LEAF_LIFETIME
from weft_injector.ca.leaf import Leaf


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalPolicy:
    """How leafs are kept fresh. The defaults are Istio's: 24 hours, renewed at half of them."""

    lifetime: timedelta = LEAF_LIFETIME
    at: float = 0.5
    """The share of its life after which a leaf is renewed, at the latest."""
    jitter: float = 0.1
    """By how much of that time renewals are spread, so that a mesh started at once is not renewed at once."""
    first_retry: timedelta = timedelta(seconds=1)
    longest_retry: timedelta = timedelta(minutes=5)

    def __post_init__(self) -> None:
        if self.lifetime <= timedelta():
            raise ValueError(f"a lifetime of {self.lifetime} ends before it begins")
        if not 0 < self.at < 1 or not 0 <= self.jitter < 1:
            raise ValueError("`at` lies between 0 and 1, `jitter` is at least 0 and less than 1")

    def due_at(self, leaf: Leaf, chance: float) -> datetime:
        """When to renew `leaf`; `chance` (0 to 1, random) spreads it over the jitter, always to the earlier side."""
        return self.due(leaf.issued_at, leaf.not_after, chance)

    def due(self, issued_at: datetime, not_after: datetime, chance: float) -> datetime:
        """`due_at` for a leaf of which only the times are at hand."""
        return issued_at + (not_after - issued_at) * (self.at * (1 - self.jitter * chance))

    def retry_after(self, failures: int, *, left: timedelta) -> timedelta:
        """How long to wait after so many failures in a row, `left` being what remains of the old leaf's life.

        Doubles each time, but never takes more than a quarter of what is left: there are always further tries
        before the expiry, also with lifetimes of seconds. An expired leaf is tried for as often as a fresh
        failure.
        """
        doubled: timedelta = min(self.first_retry * (1 << min(failures - 1, 32)), self.longest_retry)
        return min(doubled, left / 4) if left > timedelta() else min(doubled, self.first_retry)

"""Replacing the root without a refused handshake: which authority signs at a time, and which roots are trusted.

The three steps of `ca.bundle`, by the clock. The state is one Secret that all replicas read (`Previous`), so that each
finds the same answer, also after a restart in the middle:

1. joining: the previous authority still signs, and proxies learn to trust the new roots beside the old ones;
2. signing: the new authority signs, and the old roots stay for as long as leafs signed by them may live;
3. steady: the old roots are gone.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from weft_injector.ca.authority import LEAF_LIFETIME, Authority
from weft_injector.delivery.root_secret import Previous, fingerprint

SPREAD = timedelta(minutes=5)
"""Until a changed ConfigMap is in every pod: the kubelet looks every 60 to 90 s; times three, for nodes under load."""


class Phase(StrEnum):
    """Where the replacement of a root stands."""

    STEADY = "steady"
    JOINING = "joining"
    SIGNING = "signing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long the steps take."""

    spread: timedelta = SPREAD
    leaf_lifetime: timedelta = LEAF_LIFETIME


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What signs and, as its `bundle`, all that is trusted. `until` is when the next phase begins."""

    authority: Authority
    phase: Phase = Phase.STEADY
    until: datetime | None = None


def in_force(source: Authority, previous: Previous | None, *, now: datetime, timing: Timing) -> InForce:
    """What counts at `now`, `source` being the authority of the root's Secret.

    Where `previous` was kept for other roots than these, nobody saw the Secret change. Then the new authority signs at
    once, as it must have been meant, and the old roots stay all the same.
    """
    if previous is None or finished(previous, now=now, timing=timing):
        return InForce(authority=source)
    joined = previous.joined_at + timing.spread
    replaced = joined + timing.leaf_lifetime
    old = previous.authority
    expected = previous.replaced_by == fingerprint(source.bundle)
    if expected and now < joined and now < old.expires_at:
        both = old.bundle.joined(source.bundle)
        return InForce(authority=replace(old, bundle=both), phase=Phase.JOINING, until=min(joined, old.expires_at))
    both = source.bundle.joined(old.bundle)
    return InForce(authority=replace(source, bundle=both), phase=Phase.SIGNING, until=replaced)


def replacement(signing: Authority, before: Authority, source: Authority, *, now: datetime) -> Previous | None:
    """What to keep when the root's Secret held `before` and now holds `source`, `signing` being in force meanwhile.

    None where the roots are the same: another intermediate below them is believed at once. `signing` carries all roots
    trusted so far, so that a root replaced during a replacement forgets nobody.
    """
    if fingerprint(before.bundle) == fingerprint(source.bundle):
        return None
    return Previous(authority=signing, joined_at=now, replaced_by=fingerprint(source.bundle))


def finished(previous: Previous, *, now: datetime, timing: Timing) -> bool:
    """Whether no leaf that the previous authority signed is alive."""
    return now >= previous.joined_at + timing.spread + timing.leaf_lifetime


def renewal_due(source: Authority, *, now: datetime) -> bool:
    """Whether a self-made root is to be renewed: in the last tenth of its life, a year of the ten it has by default."""
    certificate = source.certificate
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return now >= certificate.not_valid_after_utc - life / 10

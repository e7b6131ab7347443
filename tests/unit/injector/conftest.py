"""Shared by the injector's tests: one moment, one authority, one identity."""

from datetime import UTC, datetime

import pytest

from weft_core.spiffe import SpiffeId
from weft_injector.ca.authority import Authority


@pytest.fixture
def now() -> datetime:
    """The moment at which everything here happens; the policy code never asks a clock."""
    return datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


@pytest.fixture
def authority(now: datetime) -> Authority:
    """A self-made authority of `cluster.local`."""
    return Authority.self_made(trust_domain="cluster.local", now=now)


@pytest.fixture
def reviews() -> SpiffeId:
    """The identity of the sample's reviews service."""
    return SpiffeId(trust_domain="cluster.local", namespace="bookshop", service_account="reviews")

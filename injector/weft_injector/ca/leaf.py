"""What the authority hands out: a certificate chain with its times, and its key where the authority made it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from weft_core.spiffe import SpiffeId


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """An issued certificate. Times are aware of their zone (UTC)."""

    identity: SpiffeId | None
    """Whom it names; None for a serving certificate, which names hosts."""
    chain_pem: bytes
    """The leaf, then the intermediates that lead to a root; the root itself is in the trust bundle."""
    key_pem: bytes | None
    """The private key (PKCS #8), or None where only the public key came to the authority."""
    serial: int
    issued_at: datetime
    """When it was asked for. `not_before` lies earlier, so that clocks may differ."""
    not_before: datetime
    not_after: datetime

    @property
    def life(self) -> timedelta:
        """From issue to expiry: what renewal "at half of its life" counts."""
        return self.not_after - self.issued_at

    def __repr__(self) -> str:
        """Without the key: leafs end up in log lines and tracebacks."""
        identity = str(self.identity or "-")
        return f"Leaf(identity={identity!r}, serial={self.serial:x}, not_after={self.not_after.isoformat()})"

"""SPIFFE ids of workloads: `spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT`, the form Istio uses.

The rules are those of the SPIFFE ID specification, sections 2.1 to 2.4. They are checked to the letter and
nothing is normalised: a peer whose id had to be repaired before it matched a policy would not be the peer
that the policy names.
"""

import re
from dataclasses import dataclass
from typing import Self

from weft_core.errors import WeftError

SCHEME = "spiffe://"
MAX_ID_BYTES = 2048
MAX_TRUST_DOMAIN_BYTES = 255

_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]+", re.ASCII)
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)


class InvalidSpiffeIdError(WeftError, ValueError):
    """A text is not a SPIFFE id of a workload. The message quotes it and names the rule that it breaks."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class SpiffeId:
    """Who a workload is: the service account it runs as, its namespace, and the trust domain that vouches for both.

    Every instance is valid; the constructor raises `InvalidSpiffeIdError`.
    """

    trust_domain: str
    namespace: str
    service_account: str

    def __post_init__(self) -> None:
        check_trust_domain(self.trust_domain)
        _check_segment("namespace", self.namespace)
        _check_segment("service account", self.service_account)
        if len(str(self)) > MAX_ID_BYTES:
            raise InvalidSpiffeIdError(
                f"{str(self)[:80]}… is {len(str(self))} bytes long; at most {MAX_ID_BYTES} are allowed"
            )

    def __str__(self) -> str:
        """The URI, as it stands in a certificate's subject alternative name."""
        return f"{SCHEME}{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"

    @property
    def principal(self) -> str:
        """The id without its scheme, as AuthorizationPolicy's `principals` name it."""
        return str(self).removeprefix(SCHEME)

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Read a workload's SPIFFE id. Raises `InvalidSpiffeIdError`.

        Ids of other shapes are valid SPIFFE, but say nothing about a namespace or an account, so they are
        refused here.
        """
        if not uri.startswith(SCHEME):
            raise InvalidSpiffeIdError(f"{uri[:80]!r} does not begin with {SCHEME}")
        trust_domain, *segments = uri.removeprefix(SCHEME).split("/")
        match segments:
            case ["ns", namespace, "sa", service_account]:
                return cls(trust_domain=trust_domain, namespace=namespace, service_account=service_account)
        raise InvalidSpiffeIdError(
            f"{uri[:80]!r} is not of the form {SCHEME}TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT"
        )


def check_trust_domain(name: str) -> None:
    """Raise `InvalidSpiffeIdError` unless `name` may be a trust domain (section 2.1: lower case, no port, no user)."""
    if not _TRUST_DOMAIN.fullmatch(name):
        raise InvalidSpiffeIdError(f"trust domain {name[:80]!r}: use lower-case letters, digits, '.', '-' and '_' only")
    if len(name) > MAX_TRUST_DOMAIN_BYTES:
        raise InvalidSpiffeIdError(f"trust domain {name[:80]}… is longer than {MAX_TRUST_DOMAIN_BYTES} bytes")


def _check_segment(what: str, value: str) -> None:
    """Section 2.2: a path segment is not empty, not relative, and of unreserved letters only."""
    if not _SEGMENT.fullmatch(value):
        raise InvalidSpiffeIdError(f"{what} {value[:80]!r}: use letters, digits, '.', '-' and '_' only, at least one")
    if value in {".", ".."}:
        raise InvalidSpiffeIdError(f"{what} {value!r} is a relative path segment, which a SPIFFE id may not have")

"""Role-based access control: conditions on a request or connection, and what follows when one holds.

One tree serves Envoy's HTTP filter and its network filter; the builder writes the same condition as a principal or as a
permission. Leaves say what is compared, the three operators how leaves are joined.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from weft_core.ir.string_match import StringMatch
from weft_core.problems import ObjectRef


@dataclass(frozen=True, slots=True)
class Anything:
    """Holds always."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """Holds when all conditions do."""

    conditions: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds when one of the conditions does; none of none."""

    conditions: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Holds when the condition does not."""

    condition: "Condition"


@dataclass(frozen=True, slots=True)
class PeerName:
    """The peer's verified identity, its certificate's URI SAN (`spiffe://…`). Never holds without mutual TLS."""

    matcher: StringMatch


@dataclass(frozen=True, slots=True)
class DirectRemoteIp:
    """The address that the connection comes from."""

    block: str


@dataclass(frozen=True, slots=True)
class RemoteIp:
    """The client's address by X-Forwarded-For, as far as proxies on the way are trusted."""

    block: str


@dataclass(frozen=True, slots=True)
class DestinationIp:
    """The address that the connection was made to."""

    block: str


@dataclass(frozen=True, slots=True)
class DestinationPort:
    """The port that the connection was made to: the workload's."""

    port: int


@dataclass(frozen=True, slots=True)
class RequestedServerName:
    """The TLS server name (SNI)."""

    matcher: StringMatch


@dataclass(frozen=True, slots=True)
class Header:
    """A request header or pseudo-header; a matcher of None asks for presence."""

    name: str
    matcher: StringMatch | None


@dataclass(frozen=True, slots=True)
class UrlPath:
    """The path without its query, as normalised before the filter."""

    matcher: StringMatch


@dataclass(frozen=True, slots=True)
class UriTemplate:
    """The path by a template, in Envoy's syntax: `*` one segment, `**` the rest."""

    template: str


@dataclass(frozen=True, slots=True)
class Metadata:
    """A value of dynamic metadata (a claim of a verified token, for one), found below `filter` by `path`.

    With `in_list` the value is a list and one of its members has to match; otherwise it is a text.
    """

    filter: str
    path: tuple[str, ...]
    matcher: StringMatch
    in_list: bool = False


Condition: TypeAlias = (
    Anything
    | AllOf
    | AnyOf
    | Not
    | PeerName
    | DirectRemoteIp
    | RemoteIp
    | DestinationIp
    | DestinationPort
    | RequestedServerName
    | Header
    | UrlPath
    | UriTemplate
    | Metadata
)

NOTHING = AnyOf(())
"""Holds never."""


class RbacAction(Enum):
    """What follows when a policy's condition holds."""

    ALLOW = "allow"
    """Whoever no policy covers is refused."""
    DENY = "deny"
    LOG = "log"
    """Nothing is refused; the outcome goes into dynamic metadata (`access_log_hint`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RbacPolicy:
    """One rule: who, and what they do. The name goes into response code details and logs."""

    name: str
    principal: Condition
    permission: Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Rbac:
    """All rules of one action, and those on trial (dry run), whose outcome is counted and logged but not enforced.

    `enforced` of None leaves requests alone; an empty tuple under ALLOW refuses everything.
    """

    action: RbacAction
    enforced: tuple[RbacPolicy, ...] | None = None
    trial: tuple[RbacPolicy, ...] | None = None
    origins: tuple[ObjectRef, ...] = ()

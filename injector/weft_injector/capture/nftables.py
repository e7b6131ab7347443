"""The capture rules as a script for `nft -f`.

One table for each IP version, in native nftables. The script is a single transaction: it removes what an earlier run
left, and creates it anew. At no moment a connection finds half of the rules, and to load it twice is to load it once.
NAT is decided by a connection's first packet, so connections that are open keep the way they have.
"""

from collections.abc import Iterable, Sequence

from weft_injector.capture.rules import IpVersion, Match, Rule, Verdict, capture_rules
from weft_injector.capture.settings import CaptureSettings, Network

TABLE = "weft_capture"
_FAMILIES = {IpVersion.V4: "ip", IpVersion.V6: "ip6"}


def render(settings: CaptureSettings, versions: Sequence[IpVersion] = tuple(IpVersion)) -> str:
    """The script for these IP versions. Equal settings give equal text."""
    return "\n".join(_table(settings, version) for version in versions)


def render_cleanup(versions: Sequence[IpVersion] = tuple(IpVersion)) -> str:
    """The script that leaves nothing of ours, whether or not there was something."""
    return "".join(_without(_FAMILIES[version]) for version in versions)


def has_table(listed: str) -> bool:
    """Whether `nft list tables` has told of a table of ours."""
    return any(line.split()[-1:] == [TABLE] for line in listed.splitlines())


def _without(family: str) -> str:
    """To delete a table that is not there is an error, to add one that is there is none."""
    return f"add table {family} {TABLE}\ndelete table {family} {TABLE}\n"


def _table(settings: CaptureSettings, version: IpVersion) -> str:
    family = _FAMILIES[version]
    rules = capture_rules(settings, version)
    lines = [
        f"table {family} {TABLE} {{",
        *_chain("prerouting", "iifname", rules.prerouting, settings, family),
        *_chain("output", "oifname", rules.output, settings, family),
        "}",
    ]
    return _without(family) + "\n".join(lines) + "\n"


def _chain(hook: str, interface: str, rules: Iterable[Rule], settings: CaptureSettings, family: str) -> Iterable[str]:
    yield f"  chain {hook} {{"
    yield f"    type nat hook {hook} priority -100; policy accept;"
    for rule in rules:
        words = [*_match(rule.match, interface, family), _verdict(rule.verdict, settings), f'comment "{rule.name}"']
        yield f"    {' '.join(words)}"
    yield "  }"


def _match(match: Match, interface: str, family: str) -> Iterable[str]:
    if match.not_tcp:
        yield "meta l4proto != tcp"
    if match.interfaces:
        yield f"{interface} {_any_of(_quoted(match.interfaces))}"
    if match.source is not None:
        yield f"{family} saddr {_address(match.source)}"
    if match.destinations:
        yield f"{family} daddr {_any_of(map(_address, match.destinations))}"
    if match.not_destination is not None:
        yield f"{family} daddr != {_address(match.not_destination)}"
    if match.ports:
        yield f"tcp dport {_any_of(map(str, match.ports))}"
    if match.not_port is not None:
        yield f"tcp dport != {match.not_port}"
    if match.uid is not None:
        yield f"meta skuid {match.uid}"
    if match.not_uid is not None:
        yield f"meta skuid != {match.not_uid}"
    if match.gid is not None:
        yield f"meta skgid {match.gid}"


def _verdict(verdict: Verdict, settings: CaptureSettings) -> str:
    if verdict is Verdict.RETURN:
        return "return"
    port = settings.inbound_port if verdict is Verdict.INBOUND else settings.outbound_port
    # Without the protocol nft does not accept a port here, though an earlier rule has let TCP alone through.
    return f"meta l4proto tcp redirect to :{port}"


def _any_of(items: Iterable[str]) -> str:
    listed = list(items)
    return listed[0] if len(listed) == 1 else f"{{ {', '.join(listed)} }}"


def _quoted(names: Iterable[str]) -> Iterable[str]:
    return (f'"{name}"' for name in names)


def _address(network: Network) -> str:
    """`127.0.0.1` for a single address, otherwise the CIDR."""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)

"""The capture rules as text for `iptables-restore --noflush`, and what `iptables-save` says of those that are there.

Legacy iptables and the one on nftables take the same text, IPv6's tools too. Rules lie in chains of our own, named as
Istio names them, so that whoever lists a pod's rules knows them at sight. Each text is one transaction: chains that are
there are emptied and filled anew, jumps to them replaced. Chains of others are never read from, flushed or deleted.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import product

from weft_injector.capture.rules import IpVersion, Match, Rule, Verdict, capture_rules
from weft_injector.capture.settings import CaptureSettings, Network

INBOUND = "ISTIO_INBOUND"
IN_REDIRECT = "ISTIO_IN_REDIRECT"
OUTPUT = "ISTIO_OUTPUT"
REDIRECT = "ISTIO_REDIRECT"
CHAINS = (INBOUND, IN_REDIRECT, OUTPUT, REDIRECT)
_TARGETS = {Verdict.RETURN: "RETURN", Verdict.INBOUND: IN_REDIRECT, Verdict.OUTBOUND: REDIRECT}
_JUMPS = (f"-A PREROUTING -p tcp -j {INBOUND}", f"-A OUTPUT -p tcp -j {OUTPUT}")

# What leads from a chain of the kernel's own into ours, as `iptables-save` prints it.
_JUMP = re.compile(rf"-A (PREROUTING|OUTPUT)\b.* -[jg] ({INBOUND}|{OUTPUT})( .*)?")


def render(settings: CaptureSettings, version: IpVersion, saved: str = "") -> str:
    """The text for one IP version, replacing what `iptables-save -t nat` has told to be there."""
    rules = capture_rules(settings, version)
    return _nat(
        _emptied(),
        _redirect(REDIRECT, settings.outbound_port),
        _redirect(IN_REDIRECT, settings.inbound_port),
        _chain(INBOUND, "-i", rules.prerouting),
        _chain(OUTPUT, "-o", rules.output),
        _without_jumps(saved),
        _JUMPS,
    )


def render_cleanup(saved: str) -> str:
    """The text that leaves nothing of what `iptables-save -t nat` has told to be there and ours."""
    return _nat(_emptied(), _without_jumps(saved), (f"-X {chain}" for chain in CHAINS))


def has_chains(saved: str) -> bool:
    """Whether `iptables-save` has told of chains of ours."""
    declared = {line.split()[0].removeprefix(":") for line in saved.splitlines() if line.startswith(":")}
    return not declared.isdisjoint(CHAINS)


def _nat(*parts: Iterable[str]) -> str:
    return "\n".join(("*nat", *(line for part in parts for line in part), "COMMIT")) + "\n"


def _emptied() -> Iterator[str]:
    """Made where it is missing; with --noflush no other chain is emptied."""
    return (f":{chain} - [0:0]" for chain in CHAINS)


def _without_jumps(saved: str) -> Iterator[str]:
    """Appended anew they would be there twice; every one, as an earlier version may have written them differently."""
    return (f"-D {line.removeprefix('-A ')}" for line in saved.splitlines() if _JUMP.fullmatch(line))


def _redirect(chain: str, port: int) -> Iterator[str]:
    yield f"-A {chain} -p tcp -j REDIRECT --to-ports {port}"


def _chain(chain: str, interface: str, rules: Iterable[Rule]) -> Iterator[str]:
    for rule in rules:
        if rule.match.not_tcp:
            continue  # the jump lets TCP alone in
        for words in _matches(rule.match, interface):
            named = f'-m comment --comment "{rule.name}"'
            yield " ".join((f"-A {chain}", *words, named, f"-j {_TARGETS[rule.verdict]}"))


def _matches(match: Match, interface: str) -> Iterator[tuple[str, ...]]:
    """A rule names one interface, one destination and one port, so that sets become as many rules as they need."""
    alone = tuple(_alone(match))
    yield from (
        tuple(word for word in (*several, *alone) if word)
        for several in product(
            _each(f"{interface} {name}" for name in match.interfaces),
            _each(f"-d {_address(destination)}" for destination in match.destinations),
            _each(f"-p tcp --dport {port}" for port in match.ports),
        )
    )


def _each(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(words) or ("",)


def _alone(match: Match) -> Iterator[str]:
    """What a rule can say of a packet but once."""
    if match.source is not None:
        yield f"-s {_address(match.source)}"
    if match.not_destination is not None:
        yield f"! -d {_address(match.not_destination)}"
    if match.not_port is not None:
        yield f"-p tcp ! --dport {match.not_port}"
    if match.uid is not None:
        yield f"-m owner --uid-owner {match.uid}"
    if match.not_uid is not None:
        yield f"-m owner ! --uid-owner {match.not_uid}"
    if match.gid is not None:
        yield f"-m owner --gid-owner {match.gid}"


def _address(network: Network) -> str:
    """With the length of its prefix, as the tools print it themselves."""
    return str(network)

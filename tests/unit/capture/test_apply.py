"""Applying and removing rules, against tools that only pretend: what is tried, in which order, and what is told."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from weft_core.errors import EnvironmentFault
from weft_injector.capture import iptables, nftables
from weft_injector.capture.apply import Outcome, apply, remove, run_tool, texts, tool_environment
from weft_injector.capture.backend import Backend, Machine
from weft_injector.capture.rules import IpVersion
from weft_injector.capture.settings import CaptureSettings

SETTINGS = CaptureSettings()
ALL = frozenset(Backend)
OURS = "*nat\n:ISTIO_INBOUND - [0:0]\n-A PREROUTING -p tcp -j ISTIO_INBOUND\nCOMMIT\n"


@dataclass
class Tools:
    """Answers by the start of the command; the first entry that fits, and success with nothing to say otherwise."""

    answers: dict[str, Outcome] = field(default_factory=dict)
    ran: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, command: tuple[str, ...], text: str) -> Outcome:
        line = " ".join(command)
        self.ran.append((line, text))
        return next((answer for start, answer in self.answers.items() if line.startswith(start)), Outcome(code=0))

    def text(self, start: str) -> str:
        return next(text for line, text in self.ran if line.startswith(start))

    def commands(self) -> Iterable[str]:
        return [line.split()[0] for line, _ in self.ran]


def refuses(text: str = "No such file or directory") -> Outcome:
    return Outcome(code=1, stderr=f"{text}\nand more\n")


def test_native_nftables_is_taken_where_the_kernel_takes_it() -> None:
    tools = Tools()
    applied = apply(SETTINGS, Machine(backends=ALL), run=tools)
    assert (applied.backend, applied.versions) == (Backend.NFT, tuple(IpVersion))
    assert tools.ran[0] == ("nft -f -", nftables.render(SETTINGS))


def test_the_next_one_is_tried_where_a_backend_is_refused() -> None:
    tools = Tools({"nft -f": refuses(), "iptables-nft-save": refuses()})
    applied = apply(SETTINGS, Machine(backends=ALL), run=tools)
    assert applied.backend is Backend.IPTABLES_LEGACY
    assert tools.text("ip6tables-legacy-restore --noflush") == iptables.render(SETTINGS, IpVersion.V6)


def test_what_an_earlier_run_left_is_replaced() -> None:
    tools = Tools({"iptables-legacy-save": Outcome(code=0, stdout=OURS)})
    apply(SETTINGS, Machine(backends=ALL), backend=Backend.IPTABLES_LEGACY, run=tools)
    assert "-D PREROUTING -p tcp -j ISTIO_INBOUND\n" in tools.text("iptables-legacy-restore")


def test_rules_of_another_backend_go_once_the_new_ones_are_in_force() -> None:
    tools = Tools(
        {
            "iptables-nft-save": Outcome(code=0, stdout=OURS),
            "iptables-legacy-save": Outcome(code=0, stdout=OURS),
        }
    )
    apply(SETTINGS, Machine(backends=ALL, legacy=frozenset({IpVersion.V4})), run=tools)
    lines = [line for line, _ in tools.ran]
    for name in ("iptables-nft-restore", "iptables-legacy-restore"):
        assert tools.text(name) == iptables.render_cleanup(OURS)
        assert lines.index("nft -f -") < next(i for i, line in enumerate(lines) if line.startswith(name))


def test_legacy_tables_that_nobody_uses_are_not_asked_for() -> None:
    """The question alone would load them into the kernel."""
    tools = Tools()
    apply(SETTINGS, Machine(backends=ALL), run=tools)
    assert not [name for name in tools.commands() if "legacy" in name]


def test_ipv4_alone_where_there_is_no_ipv6() -> None:
    tools = Tools()
    machine = Machine(backends=ALL, ipv6=False, ipv6_addresses=False)
    assert apply(SETTINGS, machine, run=tools).versions == (IpVersion.V4,)
    assert tools.ran[0][1] == nftables.render(SETTINGS, [IpVersion.V4])


def test_ipv6_without_addresses_may_have_no_rules_and_that_is_told() -> None:
    tools = Tools({"ip6tables-legacy-save": refuses("no table `nat'")})
    machine = Machine(backends=frozenset({Backend.IPTABLES_LEGACY}), ipv6_addresses=False)
    applied = apply(SETTINGS, machine, run=tools)
    assert applied.versions == (IpVersion.V4,)
    assert applied.without == "ip6tables-legacy-save: no table `nat'"


def test_ipv6_with_addresses_is_captured_or_nothing_is() -> None:
    """Half of the traffic past the proxy would be past every policy: the pod must not start."""
    saved = iter(["", OURS])

    def run(command: tuple[str, ...], text: str) -> Outcome:
        outcome = tools(command, text)
        return Outcome(code=0, stdout=next(saved)) if command[0] == "iptables-legacy-save" else outcome

    tools = Tools({"ip6tables-legacy-save": refuses()})
    with pytest.raises(EnvironmentFault, match="ip6table_nat"):
        apply(SETTINGS, Machine(backends=frozenset({Backend.IPTABLES_LEGACY})), run=run)
    assert tools.ran[-1][1] == iptables.render_cleanup(OURS)


def test_without_the_capability_nothing_is_tried() -> None:
    tools = Tools()
    with pytest.raises(EnvironmentFault, match=r"securityContext\.capabilities\.add \[NET_ADMIN, NET_RAW\]"):
        apply(SETTINGS, Machine(backends=ALL, net_admin=False), run=tools)
    assert tools.ran == []


def test_a_capability_that_the_kernel_does_not_honour_is_told_as_such() -> None:
    tools = Tools({"nft": refuses("Operation not permitted (you must be root)")})
    with pytest.raises(EnvironmentFault, match=r"NET_ADMIN.*Operation not permitted"):
        apply(SETTINGS, Machine(backends=frozenset({Backend.NFT})), run=tools)


def test_where_all_are_refused_their_words_and_the_modules_are_told() -> None:
    tools = Tools({"nft": refuses("Could not process rule"), "ip": refuses("Table does not exist")})
    with pytest.raises(EnvironmentFault) as caught:
        apply(SETTINGS, Machine(backends=ALL), run=tools)
    assert str(caught.value) == (
        "the kernel takes no rules: nft: Could not process rule; iptables-nft-save: Table does not exist;"
        " iptables-legacy-save: Table does not exist. Load these modules on the node, as no container can:"
        " nf_tables, nft_chain_nat and nft_redir;"
        " or nf_tables, nft_compat, xt_REDIRECT, xt_owner and xt_comment;"
        " or iptable_nat, ip6table_nat, xt_REDIRECT, xt_owner and xt_comment"
    )


def test_a_machine_without_tools_is_told() -> None:
    with pytest.raises(EnvironmentFault, match="neither nft nor iptables is installed"):
        apply(SETTINGS, Machine(backends=frozenset()), run=Tools())
    with pytest.raises(EnvironmentFault, match="--backend iptables-nft: it is not installed"):
        apply(SETTINGS, Machine(backends=frozenset()), backend=Backend.IPTABLES_NFT, run=Tools())


def test_removing_tells_where_there_was_something() -> None:
    listed = Outcome(code=0, stdout="table ip filter\ntable ip weft_capture\n")
    tools = Tools({"nft list": listed, "ip6tables-nft-save": Outcome(code=0, stdout=OURS)})
    assert remove(Machine(backends=ALL), run=tools) == (Backend.NFT, Backend.IPTABLES_NFT)
    assert tools.text("nft -f -") == nftables.render_cleanup()
    assert remove(Machine(backends=ALL), run=Tools()) == ()


def test_rules_that_can_not_be_removed_are_an_error() -> None:
    tools = Tools({"nft list": Outcome(code=0, stdout="table ip weft_capture\n"), "nft -f": refuses("Device busy")})
    with pytest.raises(EnvironmentFault, match="rules of an earlier run can't be removed: nft: Device busy"):
        remove(Machine(backends=ALL), run=tools)


def test_what_is_shown_is_what_a_namespace_without_rules_gets() -> None:
    for backend in Backend:
        tools = Tools()
        apply(SETTINGS, Machine(backends=frozenset({backend})), run=tools)
        changes = [(tuple(line.split()), text) for line, text in tools.ran if text]
        assert changes == list(texts(SETTINGS, backend, tuple(IpVersion)))


def test_a_lock_that_can_not_be_made_is_replaced_by_a_file_that_is_there(tmp_path: Path) -> None:
    assert "XTABLES_LOCKFILE" not in tool_environment({}, lock=tmp_path / "xtables.lock")
    environment = tool_environment({"PATH": "/bin"}, lock=tmp_path / "missing" / "xtables.lock")
    assert Path(environment["XTABLES_LOCKFILE"]).is_file()
    assert environment["PATH"] == "/bin:/usr/sbin:/sbin"


def test_a_tool_that_is_not_installed_has_refused() -> None:
    assert run_tool(("weft-no-such-tool",), "") == Outcome(code=127, stderr="weft-no-such-tool is not installed")
    assert run_tool(("cat",), "text") == Outcome(code=0, stdout="text")

"""`weft redirect`: what its flags come to, and what it prints; the kernel is left alone."""

import sys
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from weft_cli import redirect as module
from weft_cli import start
from weft_cli.main import app
from weft_injector.capture import apply, backend, iptables, loopback, nftables
from weft_injector.capture.backend import Backend, Machine
from weft_injector.capture.flags import flags_of
from weft_injector.capture.rules import IpVersion
from weft_injector.capture.settings import CaptureSettings

MACHINE = Machine(backends=frozenset(Backend))
EVERYTHING = CaptureSettings(
    outbound_port=16001,
    inbound_port=16006,
    proxy_uid=7,
    proxy_gid=8,
    include_outbound_cidrs=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")),
    exclude_outbound_cidrs=(ip_network("10.9.0.0/16"),),
    include_outbound_ports=frozenset({443}),
    exclude_outbound_ports=frozenset({25}),
    include_inbound_ports=frozenset({8080}),
    exclude_inbound_ports=frozenset({22}),
    exclude_interfaces=frozenset({"eth1"}),
)


class Result(NamedTuple):
    """What the command has said, and how it ended."""

    exit_code: int
    stdout: str
    stderr: str


Redirect = Callable[..., Result]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[Machine], None]:
    """Sets what the machine is like."""

    def be(machine: Machine) -> None:
        monkeypatch.setattr(backend, "look", lambda: machine)

    be(MACHINE)
    return be


@pytest.fixture
def redirect(machine: object, capsys: pytest.CaptureFixture[str]) -> Redirect:
    """Runs the command with these arguments."""

    def run(*arguments: str) -> Result:
        try:
            code = module.main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[str, ...], str]]:
    """What would have been run: (command, text)."""
    ran: list[tuple[tuple[str, ...], str]] = []

    def run(command: tuple[str, ...], text: str) -> apply.Outcome:
        ran.append((command, text))
        return apply.Outcome(code=0)

    monkeypatch.setattr(apply, "run_tool", run)
    monkeypatch.setattr(loopback, "add_passthrough_source", lambda: ran.append((("add", "::6"), "")))
    monkeypatch.setattr(loopback, "remove_passthrough_source", lambda: ran.append((("remove", "::6"), "")))
    return ran


@pytest.mark.parametrize("chosen", Backend)
def test_a_dry_run_prints_the_rules_in_the_backends_own_form_and_runs_nothing(
    redirect: Redirect, tools: list[object], chosen: Backend
) -> None:
    result = redirect("--dry-run", "--backend", chosen)
    assert result.exit_code == 0
    for line, text in apply.texts(CaptureSettings(), chosen, tuple(IpVersion)):
        assert f"{' '.join(line)} <<'EOF'\n{text}EOF\n" in result.stdout
    assert result.stdout.endswith("\nip -6 address add ::6/128 dev lo\n")
    assert tools == []


def test_a_dry_run_shows_the_preferred_backend(redirect: Redirect, machine: Callable[[Machine], None]) -> None:
    assert nftables.render(CaptureSettings()) in redirect("--dry-run").stdout
    machine(replace(MACHINE, backends=frozenset({Backend.IPTABLES_LEGACY}), ipv6=False))
    assert redirect("--dry-run").stdout == (
        f"iptables-legacy-restore --noflush --wait=5 <<'EOF'\n{iptables.render(CaptureSettings(), IpVersion.V4)}EOF\n"
    )


def test_a_dry_run_needs_no_rights_and_no_tools(redirect: Redirect, machine: Callable[[Machine], None]) -> None:
    machine(Machine(backends=frozenset(), net_admin=False))
    assert nftables.render(CaptureSettings()) in redirect("--dry-run").stdout


def test_every_setting_has_a_flag(redirect: Redirect) -> None:
    shown = redirect("--dry-run", "--backend=nft", *flags_of(EVERYTHING)).stdout
    assert nftables.render(EVERYTHING) in shown


def test_short_flags_are_those_of_istios_command(redirect: Redirect) -> None:
    arguments = "-p 16001 -z 16006 -u 7 -g 8 -i 10.0.0.0/8,fd00::/8 -x 10.9.0.0/16 -q 443 -o 25 -b 8080 -d 22 -c eth1"
    assert nftables.render(EVERYTHING) in redirect("--dry-run", *arguments.split()).stdout


def test_rules_are_applied_and_that_is_told(redirect: Redirect, tools: list[tuple[tuple[str, ...], str]]) -> None:
    result = redirect("-d", "22")
    assert result.exit_code == 0
    assert result.stderr == "IPv4 and IPv6 traffic is led through Envoy, by nft\n"
    assert tools[0][1] == nftables.render(CaptureSettings(exclude_inbound_ports=frozenset({22})))
    assert tools[-1][0] == ("add", "::6")


def test_cleaning_up_applies_nothing(redirect: Redirect, tools: list[tuple[tuple[str, ...], str]]) -> None:
    result = redirect("--cleanup")
    assert (result.exit_code, result.stderr) == (0, "there were no rules of ours\n")
    assert not any(text for _, text in tools)
    assert tools[-1][0] == ("remove", "::6")


def test_a_mistake_in_a_flag_ends_with_2_and_names_it(redirect: Redirect) -> None:
    result = redirect("--exclude-outbound-cidrs", "10.0.0.0/40")
    assert result.exit_code == 2
    assert "--exclude-outbound-cidrs" in result.stderr
    assert "'10.0.0.0/40' is not a CIDR" in result.stderr


def test_an_unknown_backend_or_user_is_a_mistake_too(redirect: Redirect) -> None:
    assert "iptables-legacy" in (unknown := redirect("--backend", "ebpf")).stderr
    assert unknown.exit_code == 2
    assert redirect("--proxy-uid", "4294967295").exit_code == 2
    assert redirect("--proxy-gid", "nobody").exit_code == 2


def test_what_the_machine_lacks_is_told_in_a_line(redirect: Redirect, machine: Callable[[Machine], None]) -> None:
    machine(Machine(backends=frozenset(), net_admin=False))
    result = redirect()
    assert result.exit_code == 1
    assert result.stderr.startswith("weft: ")
    assert result.stderr.count("\n") == 1


def test_the_command_runs_without_what_the_others_load(
    machine: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["weft", "redirect", "--dry-run", "--backend=nft"])
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.setitem(sys.modules, "weft_cli.main", None)
    with pytest.raises(SystemExit) as end:
        start.main()
    assert end.value.code == 0
    assert nftables.render(CaptureSettings()) in capsys.readouterr().out


def test_the_whole_command_line_knows_it_too(machine: object) -> None:
    assert "redirect" in CliRunner().invoke(app, ["--help"]).stdout
    shown = CliRunner().invoke(app, ["redirect", "--dry-run", "--backend=nft", "-d", "22"]).stdout
    assert nftables.render(CaptureSettings(exclude_inbound_ports=frozenset({22}))) in shown
    assert "--exclude-inbound-ports" in CliRunner().invoke(app, ["redirect", "--help"]).stdout

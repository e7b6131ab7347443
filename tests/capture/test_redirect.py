"""`weft redirect` in a network namespace, with real connections: which of them reach Envoy's ports, which do not."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from weft_injector.capture.backend import Backend

if TYPE_CHECKING:
    from tests.capture.conftest import Namespace, Network

ENVOY = 1337
APPLICATION = 1000
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
PASSTHROUGH = {4: "127.0.0.6", 6: "::6"}

backends = pytest.mark.parametrize("backend", Backend)
versions = pytest.mark.parametrize("version", [4, 6])


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def at(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@backends
@versions
def test_inbound_connections_reach_envoy_but_for_the_proxys_own_ports(
    network: "Network", backend: str, version: int
) -> None:
    network.pod.redirect("--backend", backend, "--exclude-inbound-ports", "22")
    pod = network.pod.addresses[version]
    assert network.outside.reach(pod, 8080) == f"15006 for {at(pod, 8080)}"
    assert network.outside.reach(pod, 15021) == "15021"
    assert network.outside.reach(pod, 15020) == "15020"
    assert network.outside.reach(pod, 22) == "22"


@backends
@versions
def test_outbound_connections_reach_envoy_and_envoys_own_go_their_way(
    network: "Network", backend: str, version: int
) -> None:
    network.pod.redirect("--backend", backend)
    outside = network.outside.addresses[version]
    assert network.pod.reach(outside, 80) == f"15001 for {at(outside, 80)}"
    assert network.pod.reach(outside, 80, uid=0, gid=0) == f"15001 for {at(outside, 80)}"
    assert network.pod.reach(outside, 80, uid=ENVOY) == "80"
    assert network.pod.reach(outside, 80, gid=ENVOY) == "80"


@backends
@versions
def test_within_the_pod_only_the_proxys_calls_to_the_pods_address_are_inbound(
    network: "Network", backend: str, version: int
) -> None:
    network.pod.redirect("--backend", backend)
    pod, loopback = network.pod.addresses[version], LOOPBACK[version]
    assert network.pod.reach(pod, 8080, uid=ENVOY, gid=ENVOY) == f"15006 for {at(pod, 8080)}"
    assert network.pod.reach(pod, 8080) == "8080"
    assert network.pod.reach(loopback, 8080) == "8080"
    assert network.pod.reach(loopback, 8080, uid=ENVOY, gid=ENVOY) == "8080"


@backends
@versions
def test_what_envoy_hands_to_the_application_is_not_caught_again(
    network: "Network", backend: str, version: int
) -> None:
    """Bound to 127.0.0.6 or ::6, as the inbound passthrough cluster is; ::6 is there because of `weft redirect`."""
    network.pod.redirect("--backend", backend)
    pod = network.pod.addresses[version]
    assert network.pod.reach(pod, 8080, uid=ENVOY, gid=ENVOY, source=PASSTHROUGH[version]) == "8080"


@backends
@versions
def test_excluded_and_included_outbound_destinations(network: "Network", backend: str, version: int) -> None:
    outside = network.outside.addresses[version]
    captured = f"15001 for {at(outside, 80)}"
    network.pod.redirect("--backend", backend, "--exclude-outbound-ports", "22,80")
    assert network.pod.reach(outside, 80) == "80"
    assert network.pod.reach(outside, 8080) == f"15001 for {at(outside, 8080)}"
    network.pod.redirect("--backend", backend, "--exclude-outbound-cidrs", "10.99.0.0/16,fd99::/32")
    assert network.pod.reach(outside, 80) == "80"
    network.pod.redirect("--backend", backend, "--outbound-cidrs", "192.0.2.0/24,10.99.0.1,fd99::/64")
    assert network.pod.reach(outside, 80) == captured
    network.pod.redirect("--backend", backend, "--outbound-cidrs", "192.0.2.0/24")
    assert network.pod.reach(outside, 80) == "80"
    network.pod.redirect("--backend", backend, "--outbound-cidrs", "", "--include-outbound-ports", "80")
    assert network.pod.reach(outside, 80) == captured
    assert network.pod.reach(outside, 8080) == "8080"


@backends
@versions
def test_included_inbound_ports_and_excluded_interfaces(network: "Network", backend: str, version: int) -> None:
    pod, outside = network.pod.addresses[version], network.outside.addresses[version]
    network.pod.redirect("--backend", backend, "--inbound-ports", "8080")
    assert network.outside.reach(pod, 8080) == f"15006 for {at(pod, 8080)}"
    assert network.outside.reach(pod, 80) == "80"
    network.pod.redirect("--backend", backend, "--inbound-ports", "")
    assert network.outside.reach(pod, 8080) == "8080"
    network.pod.redirect("--backend", backend, "--exclude-interfaces", "eth0,eth1")
    assert network.outside.reach(pod, 8080) == "8080"
    assert network.pod.reach(outside, 80) == "80"


@pytest.fixture
def machine(network: "Network") -> "Iterator[Namespace]":
    """A virtual machine behind the pod's interface `vm0`, whose way to everywhere is the pod."""
    pod = network.pod
    found = type(pod)(f"{pod.name}-vm", {4: "10.98.0.2", 6: "fd98::2"})
    with ExitStack() as stack:
        ip("netns", "add", found.name)
        stack.callback(ip, "netns", "delete", found.name)
        ip("link", "add", "vm0", "netns", pod.name, "type", "veth", "peer", "name", "eth0", "netns", found.name)
        for name, link, host in ((pod.name, "vm0", 1), (found.name, "eth0", 2)):
            ip("-n", name, "link", "set", link, "up")
            ip("-n", name, "address", "add", f"10.98.0.{host}/24", "dev", link)
            ip("-n", name, "address", "add", f"fd98::{host}/64", "dev", link, "nodad")
        ip("-n", found.name, "route", "add", "default", "via", "10.98.0.1")
        ip("-n", found.name, "-6", "route", "add", "default", "via", "fd98::1")
        yield found


@backends
@versions
def test_what_a_virtual_machine_sends_is_outbound(
    network: "Network", machine: "Namespace", backend: str, version: int
) -> None:
    outside, gateway = network.outside.addresses[version], {4: "10.98.0.1", 6: "fd98::1"}[version]
    network.pod.redirect("--backend", backend, "--reroute-interfaces", "vm0")
    assert machine.reach(outside, 80) == f"15001 for {at(outside, 80)}"
    pod = network.pod.addresses[version]
    assert network.outside.reach(pod, 8080) == f"15006 for {at(pod, 8080)}", "what comes in otherwise is inbound"
    network.pod.redirect(
        *("--backend", backend, "--reroute-interfaces", "vm0", "--exclude-outbound-cidrs", f"{gateway}"),
        *("--exclude-outbound-ports", "22", "--outbound-cidrs", "10.0.0.0/8,fd00::/8"),
    )
    assert machine.reach(outside, 80) == f"15001 for {at(outside, 80)}"
    assert machine.reach(gateway, 8080) == "8080"
    network.pod.redirect("--backend", backend, "--reroute-interfaces", "vm0", "--outbound-cidrs", "192.0.2.0/24")
    assert machine.reach(gateway, 8080) == "8080", "nor is it inbound"


@backends
def test_to_run_it_twice_is_to_run_it_once(network: "Network", backend: str) -> None:
    network.pod.redirect("--backend", backend, "-d", "22")
    once = network.pod.rules()
    network.pod.redirect("--backend", backend, "-d", "22")
    assert network.pod.rules() == once
    network.pod.redirect("--backend", backend, "-d", "9999", "-x", "10.0.0.0/8")
    assert network.pod.rules() != once
    network.pod.redirect("--backend", backend, "-d", "22")
    assert network.pod.rules() == once


@backends
def test_a_dry_run_changes_nothing_and_a_shell_that_runs_it_does_the_same(network: "Network", backend: str) -> None:
    arguments = ("--backend", backend, "-d", "22,23", "-x", "192.0.2.0/24,2001:db8::/32", "-c", "eth7", "-q", "9000")
    empty = network.outside.rules()
    script = network.outside.redirect("--dry-run", *arguments)
    assert network.outside.rules() == empty
    network.outside.run("sh", "-c", script)
    network.pod.redirect(*arguments)
    assert network.outside.rules() == network.pod.rules()


@backends
def test_cleaning_up_leaves_what_others_have(network: "Network", backend: str) -> None:
    pod = network.pod
    pod.run("nft", "add table ip others; add chain ip others c; add rule ip others c tcp dport 1 accept")
    if backend != Backend.NFT:
        tables = backend.removesuffix("-restore")
        pod.run(tables, "-t", "nat", "-N", "THEIRS")
        pod.run(tables, "-t", "nat", "-A", "OUTPUT", "-j", "THEIRS")
        pod.run(f"ip6{tables.removeprefix('ip')}", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "-j", "ACCEPT")
    before = pod.rules()
    pod.redirect("--backend", backend)
    assert pod.rules() != before
    assert backend in pod.redirect("--cleanup")
    assert "there were no rules" in pod.redirect("--cleanup")
    after = pod.rules()
    if backend == Backend.IPTABLES_NFT:  # the kernel's own chains stay, empty as they are
        assert "ISTIO_" not in after
        assert set(before.split("\n")) <= set(after.split("\n"))
    else:
        assert after == before
    outside = network.outside.addresses[4]
    assert pod.reach(outside, 80) == "80"


def test_the_source_of_passed_on_connections_is_on_loopback_as_long_as_there_are_rules(network: "Network") -> None:
    def loopback() -> str:
        return network.pod.run("ip", "-6", "-o", "address", "show", "dev", "lo").stdout

    before = loopback()
    network.pod.redirect()
    assert "::6/128" in loopback()
    network.pod.redirect()
    network.pod.redirect("--cleanup")
    assert loopback() == before


def test_a_pod_without_ipv6_gets_rules_for_ipv4_alone(network: "Network") -> None:
    network.pod.run("sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1")
    assert "IPv4 traffic is led through Envoy" in network.pod.redirect()
    assert "ip6" not in network.pod.rules()
    assert network.outside.reach(network.pod.addresses[4], 8080) == f"15006 for {network.pod.addresses[4]}:8080"


def test_another_backend_takes_the_place_of_the_one_before(network: "Network") -> None:
    pod, outside = network.pod, network.outside.addresses[4]
    for backend in (*Backend, *Backend):
        pod.redirect("--backend", backend)
        rules = pod.rules()
        assert ("weft_capture" in rules) is (backend == Backend.NFT)
        assert rules.count("OUTPUT -p tcp -j ISTIO_OUTPUT") == (2 if backend == Backend.IPTABLES_LEGACY else 0)
        assert rules.count("jump ISTIO_OUTPUT") == (2 if backend == Backend.IPTABLES_NFT else 0)
        assert pod.reach(outside, 80) == f"15001 for {outside}:80"


def test_found_out_by_itself(network: "Network") -> None:
    said = network.pod.redirect()
    assert re.fullmatch(r"IPv4 and IPv6 traffic is led through Envoy, by (nft|iptables-nft|iptables-legacy)\n", said)
    outside = network.outside.addresses[6]
    assert network.pod.reach(outside, 80) == f"15001 for [{outside}]:80"


def restricted(namespace: "Namespace", capabilities: str, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command as an init container does: user 0 with these capabilities only, and no file can be written."""
    read_only = 'for at in / /run /tmp; do mount -o remount,bind,ro $at 2>/dev/null; done; exec "$@"'
    return namespace.run(
        *("unshare", "--mount", "sh", "-c", read_only, "sh"),
        *("setpriv", f"--bounding-set=-all{capabilities}", "--inh-caps=-all", "--no-new-privs"),
        *command,
        check=False,
    )


@backends
def test_two_capabilities_are_enough_and_nothing_is_written(network: "Network", backend: str, weft: Path) -> None:
    assert restricted(network.pod, "", "touch", "/run/xtables.lock.weft").returncode == 1
    for _ in range(2):
        done = restricted(network.pod, ",+net_admin,+net_raw", weft, "redirect", "--backend", backend)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
    outside = network.outside.addresses[6]
    assert network.pod.reach(outside, 80) == f"15001 for [{outside}]:80"


def test_without_net_admin_it_says_what_to_give(network: "Network", weft: Path) -> None:
    before = network.pod.rules()
    done = restricted(network.pod, ",+net_raw", weft, "redirect")
    assert done.returncode == 1
    assert done.stderr == (
        "weft: traffic can't be redirected without the capability NET_ADMIN: run the container as user 0 with"
        " securityContext.capabilities.add [NET_ADMIN, NET_RAW]\n"
    )
    assert network.pod.rules() == before

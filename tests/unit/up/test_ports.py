"""Ports: free or taken, stable per name, and who holds one."""

import os
import socket
import sys
from collections.abc import Iterator

import pytest

from weft_cli.up import ports
from weft_cli.up.ports import PortAllocator, is_free, port_holder, require_free, taken_reason
from weft_core.errors import EnvironmentFault, PortInUse


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which this process listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_name_keeps_its_port_and_no_two_names_share_one() -> None:
    allocator = PortAllocator("run")
    names = [f"pod-{number}" for number in range(200)]
    first = [allocator.port(name) for name in names]
    assert [allocator.port(name) for name in names] == first
    assert len(set(first)) == 200


def test_equal_seeds_choose_equally_and_different_ones_differently() -> None:
    assert PortAllocator("folder").port("reviews") == PortAllocator("folder").port("reviews")
    assert PortAllocator("folder").port("reviews") != PortAllocator("other").port("reviews")


def test_taken_and_reserved_ports_are_passed_over(taken: int) -> None:
    allocator = PortAllocator("run", first=taken, last=taken + 50)
    reserved = next(port for port in range(taken + 1, taken + 50) if is_free(port))
    allocator.reserve(reserved)
    chosen = {allocator.port(f"pod-{number}") for number in range(10)}
    assert taken not in chosen
    assert reserved not in chosen


def test_an_exhausted_range_is_a_fault(taken: int) -> None:
    with pytest.raises(EnvironmentFault, match=f"no free port from {taken} to {taken}"):
        PortAllocator("run", first=taken, last=taken).port("pod")


def test_a_closed_connection_in_time_wait_does_not_take_the_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()
        client.close()
    assert is_free(port)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_holder_is_named_with_pid_and_command(taken: int) -> None:
    holder = port_holder(taken)
    assert holder
    assert holder.pid == os.getpid()
    assert "python" in holder.command or "pytest" in holder.command
    assert taken_reason(taken) == f"port {taken} is taken by {holder}"


def test_a_required_port_that_is_taken_raises_with_both_parties(taken: int) -> None:
    with pytest.raises(PortInUse, match=f"port {taken} is taken by .*, and the gateway needs it"):
        require_free(taken, wanted_by="the gateway")


def test_a_free_port_has_no_reason_and_no_holder(taken: int) -> None:
    free = next(port for port in range(ports.FIRST_PORT, ports.LAST_PORT) if is_free(port))
    assert taken_reason(free) is None
    assert port_holder(free) is None
    require_free(free, wanted_by="nobody")


def test_an_unknown_holder_is_said_to_be_another_process(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "port_holder", lambda port: None)
    assert taken_reason(taken) == f"port {taken} is taken by another process"

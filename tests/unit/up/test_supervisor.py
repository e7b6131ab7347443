"""The supervisor with real processes: starting, restarting, and above all leaving nothing behind."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from weft_cli.up.events import Blocked, Exited, Late, Ready, Restarting, Started, Stopped
from weft_cli.up.ports import is_free
from weft_cli.up.probes import TcpProbe
from weft_cli.up.processes import Backoff, Process
from weft_cli.up.supervisor import Supervisor

SLEEP = "import time; time.sleep(60)"
IGNORE_SIGTERM = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(60)"
QUICK = Backoff(first=0.02, limit=0.1, stable=5)
PYTHON = (sys.executable, "-I", "-S")

MakeProcess = Callable[..., Process]
Ask = Callable[[int], bool]


async def until(condition: Callable[[], object], seconds: float = 5) -> None:
    """Wait for something that the supervisor brings about."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def supervise(logs: Any, recorder: Any) -> Callable[..., Supervisor]:
    def make(**options: Any) -> Supervisor:
        return Supervisor(**{"logs": logs, "listeners": [recorder], "backoff": QUICK, "grace": 3.0} | options)

    return make


async def test_output_of_both_streams_arrives_line_by_line_and_in_order(
    supervise: Callable[..., Supervisor], python: MakeProcess, logs: Any
) -> None:
    async with supervise() as supervisor:
        supervisor.add(python(f"import sys; print('one'); print('two', file=sys.stderr); print('three'); {SLEEP}"))
        await until(lambda: len(logs.lines["app"]) >= 3)
    assert logs.lines["app"] == ["one", "two", "three"]
    assert logs.closed


async def test_huge_lines_and_binary_output_are_kept_harmless(
    supervise: Callable[..., Supervisor], python: MakeProcess, logs: Any
) -> None:
    output = r"b'x' * 3_000_000 + b'\n' + bytes(range(256)) + b'done\n'"
    source = f"import sys; o = sys.stdout.buffer; o.write({output}); o.flush()"
    async with supervise() as supervisor:
        supervisor.add(python(f"{source}; {SLEEP}"))
        await until(lambda: logs.lines["app"] and logs.lines["app"][-1].endswith("done"))
    assert sum(line.count("x") for line in logs.lines["app"] if set(line) <= {"x", "…"}) == 3_000_000
    assert all(len(line) < 40_000 and "\x1b" not in line for line in logs.lines["app"])
    assert r"\xff" in logs.lines["app"][-1]


async def test_processes_start_in_parallel_and_are_ready_when_their_probe_says_so(
    supervise: Callable[..., Supervisor], python: MakeProcess, recorder: Any
) -> None:
    opened = asyncio.Event()

    async def probe() -> bool:
        return opened.is_set()

    async with supervise() as supervisor:
        for name in ("a", "b", "c"):
            supervisor.add(python(SLEEP, name=name, probe=probe))
        await until(lambda: len(recorder.events) == 3)
        assert all(isinstance(event, Started) for event in recorder.events)
        opened.set()
        await supervisor.wait_ready()
        assert sum(isinstance(event, Ready) for event in recorder.events) == 3


async def test_a_slow_process_is_reported_late_once_and_can_still_become_ready(
    supervise: Callable[..., Supervisor], python: MakeProcess, recorder: Any
) -> None:
    opened = asyncio.Event()

    async def probe() -> bool:
        return opened.is_set()

    async with supervise() as supervisor:
        supervisor.add(python(SLEEP, probe=probe, ready_within=0.05))
        await until(lambda: "Late" in recorder.kinds("app"))
        await asyncio.sleep(0.1)
        opened.set()
        await supervisor.wait_ready("app")
    assert recorder.kinds("app") == ["Started", "Late", "Ready", "Stopped"]
    assert any(isinstance(event, Late) and event.seconds >= 0.05 for event in recorder.events)


async def test_a_crash_is_explained_and_the_process_restarted_with_growing_delays(
    supervise: Callable[..., Supervisor], python: MakeProcess, recorder: Any
) -> None:
    async with supervise() as supervisor:
        supervisor.add(python("print('cannot open shop.db'); raise SystemExit(3)"))
        await until(lambda: recorder.kinds("app").count("Restarting") >= 4)
    crash = next(event for event in recorder.events if isinstance(event, Exited))
    assert (crash.code, crash.signal, crash.tail) == (3, None, ("cannot open shop.db",))
    assert "exit code 3" in crash.reason
    assert "cannot open shop.db" in crash.reason
    delays = [event.seconds for event in recorder.events if isinstance(event, Restarting)]
    assert delays[:4] == pytest.approx([0.02, 0.04, 0.08, 0.1])


async def test_a_stable_run_resets_the_backoff(
    supervise: Callable[..., Supervisor], python: MakeProcess, recorder: Any
) -> None:
    async with supervise(backoff=Backoff(first=0.01, limit=1, stable=0.0)) as supervisor:
        supervisor.add(python("pass"))
        await until(lambda: recorder.kinds("app").count("Restarting") >= 3)
    assert {event.attempt for event in recorder.events if isinstance(event, Restarting)} == {1}


async def test_a_signal_is_named(supervise: Callable[..., Supervisor], python: MakeProcess, recorder: Any) -> None:
    async with supervise() as supervisor:
        supervisor.add(python("import os; os.kill(os.getpid(), 9)"))
        await until(lambda: "Exited" in recorder.kinds("app"))
    crash = next(event for event in recorder.events if isinstance(event, Exited))
    assert (crash.code, crash.signal) == (None, "SIGKILL")


async def test_a_taken_port_is_reported_with_its_holder_and_retried(
    supervise: Callable[..., Supervisor], python: MakeProcess, recorder: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        async with supervise() as supervisor:
            supervisor.add(python(SLEEP, listens=(("127.0.0.1", port),)))
            await until(lambda: "Blocked" in recorder.kinds("app"))
            blocked = next(event for event in recorder.events if isinstance(event, Blocked))
            assert f"port {port} is taken by" in blocked.reason
            if sys.platform == "linux":
                assert f"pid {os.getpid()} (" in blocked.reason
            holder.close()
            await supervisor.wait_ready("app")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"argv": ("/no/such/program",)}, "/no/such/program was not found"),
        ({"argv": ("/",)}, "may not be executed"),
        ({"argv": ("true",), "cwd": Path("/no/such/folder")}, "working folder /no/such/folder does not exist"),
    ],
)
async def test_what_cannot_be_executed_is_explained(
    change: dict[str, Any], said: str, supervise: Callable[..., Supervisor], recorder: Any
) -> None:
    async with supervise() as supervisor:
        supervisor.add(Process(name="app", **change))
        await until(lambda: "Restarting" in recorder.kinds("app"))
    blocked = next(event for event in recorder.events if isinstance(event, Blocked))
    assert said in blocked.reason


async def test_a_deaf_process_is_killed_after_the_grace(
    supervise: Callable[..., Supervisor], python: MakeProcess, recorder: Any, logs: Any, gone: Ask
) -> None:
    async with supervise(grace=0.2) as supervisor:
        supervisor.add(python(IGNORE_SIGTERM))
        await until(lambda: logs.lines["app"])
        begin = time.monotonic()
    assert 0.2 <= time.monotonic() - begin < 2
    assert isinstance(recorder.events[-1], Stopped)
    assert recorder.events[-1].killed
    assert gone(recorder.events[0].pid)


async def test_a_second_interrupt_kills_without_waiting(
    supervise: Callable[..., Supervisor], python: MakeProcess, logs: Any
) -> None:
    async with supervise(grace=30) as supervisor:
        supervisor.add(python(IGNORE_SIGTERM))
        await until(lambda: logs.lines["app"])
        supervisor.interrupt()
        await supervisor.interrupted.wait()
        asyncio.get_running_loop().call_later(0.1, supervisor.interrupt)
        begin = time.monotonic()
    assert time.monotonic() - begin < 2


async def test_cancelling_the_block_ends_everything(
    supervise: Callable[..., Supervisor], python: MakeProcess, recorder: Any, gone: Ask
) -> None:
    async def run() -> None:
        async with supervise() as supervisor:
            supervisor.add(python(SLEEP))
            await asyncio.sleep(60)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(run())
        await until(lambda: "Ready" in recorder.kinds("app"))
        task.cancel()
    assert gone(recorder.events[0].pid)


async def test_an_exception_of_the_block_comes_out_as_it_is(
    supervise: Callable[..., Supervisor], python: MakeProcess, recorder: Any, gone: Ask
) -> None:
    async def fail() -> None:
        async with supervise() as supervisor:
            supervisor.add(python(SLEEP))
            await supervisor.wait_ready()
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await fail()
    assert gone(recorder.events[0].pid)


async def test_a_failing_listener_ends_the_block(supervise: Callable[..., Supervisor], python: MakeProcess) -> None:
    def listener(event: object) -> None:
        raise ArithmeticError("listener")

    with pytest.RaisesGroup(ArithmeticError, flatten_subgroups=True):
        async with supervise(listeners=[listener]) as supervisor:
            supervisor.add(python(SLEEP))
            await asyncio.sleep(60)


DEAF_FAMILY = """
import subprocess, sys, time
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
for detached in {detached}:
    argv = [sys.executable, "-I", "-S", "-c", deaf]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=detached)
    child.stdout.readline()
    print(child.pid)
{then}
"""


async def test_grandchildren_end_with_the_process(
    supervise: Callable[..., Supervisor], python: MakeProcess, logs: Any, gone: Ask
) -> None:
    async with supervise(grace=0.3) as supervisor:
        supervisor.add(python(DEAF_FAMILY.format(detached=(False,), then="time.sleep(60)")))
        await until(lambda: logs.lines["app"])
    assert gone(int(logs.lines["app"][0]))


@pytest.mark.skipif(sys.platform != "linux", reason="a process that left its group is found through /proc")
async def test_even_a_grandchild_with_a_session_of_its_own_ends(
    supervise: Callable[..., Supervisor], python: MakeProcess, logs: Any, gone: Ask
) -> None:
    async with supervise(grace=0.3) as supervisor:
        supervisor.add(python(DEAF_FAMILY.format(detached=(True,), then="time.sleep(60)")))
        await until(lambda: logs.lines["app"])
    assert gone(int(logs.lines["app"][0]))


async def test_a_crash_takes_the_grandchildren_along_before_the_restart(
    supervise: Callable[..., Supervisor], python: MakeProcess, logs: Any, recorder: Any, gone: Ask
) -> None:
    async with supervise() as supervisor:
        supervisor.add(python(DEAF_FAMILY.format(detached=(False,), then="raise SystemExit(1)")))
        await until(lambda: "Exited" in recorder.kinds("app"))
        assert gone(int(logs.lines["app"][0]))


async def test_removing_one_leaves_the_others_alone_and_frees_the_name(
    supervise: Callable[..., Supervisor], python: MakeProcess, recorder: Any, is_alive: Ask, gone: Ask
) -> None:
    async with supervise() as supervisor:
        supervisor.add(python(SLEEP, name="v1"))
        supervisor.add(python(SLEEP, name="v10"))
        await supervisor.wait_ready()
        pids = {event.name: event.pid for event in recorder.events if isinstance(event, Started)}
        await supervisor.remove("v1")
        assert gone(pids["v1"])
        assert is_alive(pids["v10"])
        supervisor.add(python(SLEEP, name="v1"))
        with pytest.raises(ValueError, match="v1 runs already"):
            supervisor.add(python(SLEEP, name="v1"))
        await supervisor.wait_ready("v1")


async def test_the_port_of_a_server_is_free_after_the_block(
    supervise: Callable[..., Supervisor], python: MakeProcess
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        port = placeholder.getsockname()[1]
    source = f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(60)"
    async with supervise() as supervisor:
        supervisor.add(python(source, probe=TcpProbe(port=port), listens=(("127.0.0.1", port),)))
        await supervisor.wait_ready()
        assert not is_free(port)
    assert is_free(port)


SUPERVISOR_PROGRAM = """
import asyncio, sys
from weft_cli.up.processes import Process
from weft_cli.up.supervisor import Supervisor
from weft_cli.up.events import Started

class Logs:
    def open(self, name, colour=None): ...
    def write(self, name, lines): print(*lines, sep="\\n", flush=True)
    def close(self): ...

async def main():
    async with Supervisor(logs=Logs(), handle_signals=True, grace=float(sys.argv[1])) as supervisor:
        for name in ("a", "b"):
            supervisor.add(Process(name=name, argv=(sys.executable, "-I", "-S", "-u", "-c", sys.argv[2])))
        await supervisor.interrupted.wait()

asyncio.run(main())
"""


def start_supervisor(grace: float, source: str) -> tuple[subprocess.Popen[str], list[int]]:
    """Start a supervisor of two processes in a process of its own; return it and the pids that they print."""
    program = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR_PROGRAM, str(grace), f"import os; print(os.getpid()); {source}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout
    pids = [int(line) for line in (program.stdout.readline(), program.stdout.readline())]
    return program, pids


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_supervisor_ends_it_and_all_in_good_order(number: int, gone: Ask) -> None:
    program, pids = start_supervisor(5, SLEEP)
    with program:
        program.send_signal(number)
        assert program.wait(5) == 0
    assert all(map(gone, pids))


@pytest.mark.parametrize("source", [SLEEP, IGNORE_SIGTERM.replace("print('deaf');", "")])
def test_processes_do_not_outlive_a_supervisor_that_is_killed(source: str, gone: Ask) -> None:
    program, pids = start_supervisor(5, source)
    with program:
        program.kill()
    assert all(map(gone, pids))

"""Where the process `weft` begins: hooks of pods at once, everything else through the whole command line.

`weft drain` and `weft wait` run in the sidecar's container, once at each pod's start or end, within its small share of
a CPU. They need nothing that is not in the standard library, and so they load nothing else.
"""

import sys


def main() -> None:
    """Run the command."""
    if sys.argv[1:2] in (["drain"], ["wait"]):
        from weft_cli.drain import main as hook  # noqa: PLC0415

        sys.exit(hook(sys.argv[1:]))
    from weft_cli import garbage  # noqa: PLC0415

    garbage.look_rarely()
    from weft_cli.main import main as command  # noqa: PLC0415

    command()

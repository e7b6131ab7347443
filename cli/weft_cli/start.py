"""Where the process `weft` begins: what pods run at once, everything else through the whole command line.

`weft redirect`, `weft wait` and `weft drain` run at each pod's start or end, within its small share of a CPU. They load
nothing but what they need, which is a tenth of what the command line is made of.
"""

import sys


def main() -> None:
    """Run the command."""
    if sys.argv[1:2] in (["drain"], ["wait"]):
        from weft_cli.drain import main as hook  # noqa: PLC0415

        sys.exit(hook(sys.argv[1:]))
    if sys.argv[1:2] == ["redirect"]:
        from weft_cli.redirect import main as redirect  # noqa: PLC0415

        sys.exit(redirect(sys.argv[2:]))
    from weft_cli import garbage  # noqa: PLC0415

    garbage.look_rarely()
    _load_structlog()
    from weft_cli.main import main as command  # noqa: PLC0415

    command()


def _load_structlog() -> None:
    """Load it as if rich were not installed.

    It would load rich and pygments for tracebacks that Weft's logs never draw: a twelfth of all that a server imports.
    """
    sys.modules["rich"] = None  # type: ignore[assignment] # the import system's own way to say that there is none
    import structlog  # noqa: F401, PLC0415

    del sys.modules["rich"]

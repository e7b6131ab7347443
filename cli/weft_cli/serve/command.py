"""The command `weft serve`: its options, and the way to the composition root that they name."""

import logging
import platform
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from weft_core.errors import EnvironmentFault


class LogLevel(StrEnum):
    """How much a command says about itself."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        """As `logging` counts."""
        return logging.getLevelNamesMapping()[self.name]


def command(
    config_dir: Annotated[
        Path | None, typer.Option(help="Serve the YAML in this folder; it is watched. No cluster is needed.")
    ] = None,
    kubernetes: Annotated[bool, typer.Option("--kubernetes", help="Serve the cluster that this runs in.")] = False,
    kubeconfig: Annotated[Path | None, typer.Option(help="With --kubernetes: another cluster than that.")] = None,
    namespace: Annotated[
        str, typer.Option(envvar="POD_NAMESPACE", help="With --kubernetes: the control plane's own.")
    ] = "weft-system",
    revision: Annotated[
        str, typer.Option(help="With --kubernetes: which of several control planes it is.")
    ] = "default",
    roles: Annotated[
        str, typer.Option(help="With --kubernetes: what it does, of operator, xds and injector.")
    ] = "operator,xds,injector",
    credential_namespaces: Annotated[
        str, typer.Option(help="With --kubernetes: where gateways' Secrets may be read, with commas; * is everywhere.")
    ] = "*",
    cluster_domain: Annotated[str, typer.Option(help="With --kubernetes: the cluster's DNS domain.")] = "cluster.local",
    webhooks: Annotated[
        str, typer.Option(help="With --kubernetes: where the API server calls, over TLS.")
    ] = "0.0.0.0:15017",
    pod_name: Annotated[str, typer.Option(envvar="POD_NAME", help="With --kubernetes: this replica's name.")] = "",
    pod_ip: Annotated[str, typer.Option(envvar="POD_IP", help="With --kubernetes: this replica's address.")] = "",
    xds: Annotated[str, typer.Option(help="Where sidecars connect, with mutual TLS.")] = "0.0.0.0:15012",
    http: Annotated[str, typer.Option(help="Where /ready, /live and /metrics are.")] = "127.0.0.1:15014",
    state_dir: Annotated[
        Path, typer.Option(help="With --config-dir: where the mesh's root key and certificate are kept.")
    ] = Path(".weft"),
    xds_plaintext: Annotated[
        str | None,
        typer.Option(help="With --config-dir: without TLS and identity, for tests, on loopback addresses only."),
    ] = None,
    mesh_config: Annotated[
        Path | None, typer.Option(help="With --config-dir: a file with mesh-wide settings, in MeshConfig form.")
    ] = None,
    log_level: Annotated[
        LogLevel, typer.Option(envvar="WEFT_LOG_LEVEL", help="The control plane's own log.")
    ] = LogLevel.INFO,
) -> None:
    """Run the control plane: on a cluster, or alone, on the YAML in a folder."""
    from weft_cli import logging as weft_logging  # noqa: PLC0415

    if kubernetes == (config_dir is not None):
        raise EnvironmentFault("name one source: --kubernetes for the cluster, or --config-dir FOLDER")
    weft_logging.configure(level=log_level.number)
    if config_dir is not None:
        from weft_cli.serve.folder import serve_folder  # noqa: PLC0415

        raise typer.Exit(
            serve_folder(
                config_dir,
                xds=xds,
                http_address=http,
                state_dir=state_dir,
                xds_plaintext=xds_plaintext,
                mesh_config=mesh_config,
            )
        )
    from weft_cli.serve.cluster import serve_cluster  # noqa: PLC0415
    from weft_cli.serve.options import ClusterOptions, parse_roles  # noqa: PLC0415

    raise typer.Exit(
        serve_cluster(
            ClusterOptions(
                kubeconfig=kubeconfig,
                namespace=namespace,
                revision=revision,
                roles=parse_roles(roles),
                xds=xds,
                http=http,
                webhooks=webhooks,
                cluster_domain=cluster_domain,
                credential_namespaces=tuple(part.strip() for part in credential_namespaces.split(",") if part.strip()),
                pod_name=pod_name or platform.node(),
                pod_ip=pod_ip,
            )
        )
    )

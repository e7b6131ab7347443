"""`python -m bringup`: a cluster for try-outs, until Ctrl-C."""

import argparse
import signal
import sys
import time
from pathlib import Path

from bringup import images
from bringup.control import NODELESS_CONTROLLERS, ControlPlane
from bringup.errors import BringUpError
from bringup.node import Node


def main() -> int:
    """Parse, start, wait, stop."""
    parser = argparse.ArgumentParser(prog="python -m bringup", description="Real Kubernetes for tests and try-outs.")
    commands = parser.add_subparsers(required=True)
    state = argparse.ArgumentParser(add_help=False)
    state.add_argument("--state", type=Path, required=True, help="folder for certificates, data and logs")
    api = commands.add_parser("api", parents=[state], help="etcd and the API server alone, on loopback")
    api.add_argument("--controller-manager", action="store_true", help="run the controllers that need no node")
    api.add_argument("--flag", action="append", default=[], help="one more flag for kube-apiserver; may be repeated")
    api.set_defaults(run=lambda given: _serve(_control_plane(given)))
    node = commands.add_parser("node", parents=[state], help="a whole node with the images loaded; needs root")
    node.set_defaults(run=lambda given: _serve(Node(given.state)))
    archive = commands.add_parser("images", help="build the images and print where their archive is")
    archive.set_defaults(run=lambda _: print(images.build().archive))
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
    except BringUpError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _control_plane(given: argparse.Namespace) -> ControlPlane:
    controllers = NODELESS_CONTROLLERS if given.controller_manager else ()
    return ControlPlane(given.state, controllers=controllers, api_server_flags=given.flag)


def _serve(cluster: ControlPlane) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        cluster.start()
        programs = cluster.binaries.find("kubectl").parent
        print(f"export KUBECONFIG={cluster.kubeconfig} PATH={programs}:$PATH", flush=True)
        while True:
            time.sleep(1)
            cluster.check()
    except KeyboardInterrupt:
        print("stopping", file=sys.stderr)
    finally:
        cluster.stop()


if __name__ == "__main__":
    sys.exit(main())

"""`python -m bringup`: a cluster for try-outs, until Ctrl-C."""

import argparse
import signal
import sys
import time
from pathlib import Path

from bringup.control import NODELESS_CONTROLLERS, ControlPlane
from bringup.errors import BringUpError


def main() -> int:
    """Parse, start, wait, stop."""
    parser = argparse.ArgumentParser(prog="python -m bringup", description="Real Kubernetes for tests and try-outs.")
    commands = parser.add_subparsers(dest="command", required=True)
    api = commands.add_parser("api", help="etcd and the API server alone, on loopback")
    api.add_argument("--controller-manager", action="store_true", help="run the controllers that need no node")
    api.add_argument("--flag", action="append", default=[], help="one more flag for kube-apiserver; may be repeated")
    api.add_argument("--state", type=Path, required=True, help="folder for certificates, etcd's data and logs")
    arguments = parser.parse_args()
    try:
        _serve(arguments)
    except BringUpError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _serve(arguments: argparse.Namespace) -> None:
    controllers = NODELESS_CONTROLLERS if arguments.controller_manager else ()
    cluster = ControlPlane(arguments.state, controllers=controllers, api_server_flags=arguments.flag)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        cluster.start()
        print(
            f"export KUBECONFIG={cluster.kubeconfig} PATH={cluster.binaries.find('kubectl').parent}:$PATH", flush=True
        )
        while True:
            time.sleep(1)
            cluster.check()
    except KeyboardInterrupt:
        print("stopping", file=sys.stderr)
    finally:
        cluster.stop()


if __name__ == "__main__":
    sys.exit(main())

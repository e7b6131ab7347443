"""A cluster as tests see it: a kubeconfig, and the two programs that people use."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from bringup.binaries import Binaries
from bringup.errors import BringUpError, Unavailable


class CommandFailed(BringUpError):
    """kubectl or helm refused; the message is what it wrote to its standard error."""


class Cluster:
    """The client's side of any cluster, started here or given by `$KUBECONFIG`."""

    def __init__(self, kubeconfig: Path, scratch: Path, binaries: Binaries) -> None:
        """`scratch` takes what the programs cache, so that nothing is written to the home folder."""
        self.kubeconfig = kubeconfig
        self.scratch = scratch
        self.binaries = binaries

    @property
    def env(self) -> dict[str, str]:
        """What a program needs in its environment to find this cluster and to keep its caches away from others."""
        return {
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(self.scratch / "kubectl"),
            "HELM_CACHE_HOME": str(self.scratch / "helm/cache"),
            "HELM_CONFIG_HOME": str(self.scratch / "helm/config"),
            "HELM_DATA_HOME": str(self.scratch / "helm/data"),
        }

    def kubectl(self, *args: str | Path, input: str | None = None, timeout: float = 120) -> str:  # noqa: A002 subprocess's word
        """What kubectl prints; raises `CommandFailed` with its complaint."""
        return self._run("kubectl", args, input, timeout)

    def helm(self, *args: str | Path, timeout: float = 300) -> str:
        """What helm prints; raises `CommandFailed` with its complaint."""
        return self._run("helm", args, None, timeout)

    def apply(self, *documents: dict[str, Any], namespace: str = "default") -> None:
        """Apply objects given as documents, all in one call."""
        bundle = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        self.kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps(bundle))

    def get(self, *args: str, namespace: str = "default") -> Any:
        """The object or the List that `kubectl get ARGS` names, as a document."""
        return json.loads(self.kubectl("get", "-n", namespace, "-o", "json", *args))

    def exec(self, pod: str, *command: str, namespace: str = "default", container: str = "") -> str:
        """What a command prints that is run in a container; `pod` may be `deployment/NAME`."""
        where = [f"--container={container}"] if container else []
        return self.kubectl("exec", "-n", namespace, pod, *where, "--", *command)

    def logs(self, pod: str, *flags: str, namespace: str = "default", container: str = "") -> str:
        """What a container has written."""
        where = [f"--container={container}"] if container else []
        return self.kubectl("logs", "-n", namespace, pod, *where, *flags)

    def pods(self, selector: str, namespace: str = "default") -> list[dict[str, Any]]:
        """The Pods that a label selector finds, without those that are on their way out."""
        found = self.get("pods", f"--selector={selector}", namespace=namespace)["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def stop_api_server(self) -> None:
        """Take the API server away as a crash would."""
        raise Unavailable("the API server of a given cluster is not stopped")

    def start_api_server(self) -> None:
        """Start the API server again, at the same address as before; returns when it is ready."""
        raise Unavailable("the API server of a given cluster is not started")

    def _run(self, program: str, args: tuple[str | Path, ...], given: str | None, timeout: float) -> str:
        command = [self.binaries.find(program), *args]
        done = subprocess.run(
            command,
            input=given,
            env=os.environ | self.env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise CommandFailed(f"{program} {' '.join(map(str, args))}: {done.stderr.strip()}")
        return done.stdout

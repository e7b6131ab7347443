"""Write type stubs of all current Envoy protobuf modules into `typings/`, for mypy and pyright.

xds-protos ships generated modules without stubs, and without the `.proto` files they came from. Each module carries its
own descriptor, though: they are collected into one set, from which protoc runs the plugin of mypy-protobuf (its own
`--pyi_out` does not pass mypy in strict mode). Run from the repository's root:

    python xds_server/generate_stubs.py
"""

import importlib
import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

TYPINGS = Path(__file__).resolve().parent.parent / "typings"
DISTRIBUTION = "xds-protos"
PACKAGES = ("envoy", "udpa", "validate", "xds")
RETIRED = ("v2", "v2alpha", "v1alpha1")


def modules() -> Iterator[str]:
    """Dotted names of the distribution's message modules, without the retired v2 API.

    They are read from the distribution's file list: two more distributions install a package named `envoy`.
    """
    for file in importlib.metadata.files(DISTRIBUTION) or ():
        if not file.name.endswith("_pb2.py") or file.parts[0] not in PACKAGES:
            continue
        if file.parts[0] == "envoy" and any(part in RETIRED for part in file.parts):
            continue
        yield ".".join(file.with_suffix("").parts)


def collect(file: FileDescriptor, found: dict[str, FileDescriptorProto]) -> None:
    """Add `file` to `found`, after all that it imports: protoc wants a descriptor set in this order."""
    if file.name in found:
        return
    for dependency in file.dependencies:
        collect(dependency, found)
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    found[file.name] = proto


def generate(target: Path) -> int:
    """Write the stubs below `target`, replacing what is there; returns how many files protoc was given."""
    found: dict[str, FileDescriptorProto] = {}
    for name in modules():
        collect(importlib.import_module(name).DESCRIPTOR, found)
    names = [name for name in found if not name.startswith("google/protobuf/")]
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        descriptors = Path(scratch) / "descriptors.pb"
        descriptors.write_bytes(FileDescriptorSet(file=found.values()).SerializeToString())
        plugin = Path(sys.executable).parent / "protoc-gen-mypy"
        subprocess.run(  # noqa: S603 - fixed arguments
            [
                sys.executable,
                *("-m", "grpc_tools.protoc"),
                f"--plugin=protoc-gen-mypy={plugin}",
                f"--descriptor_set_in={descriptors}",
                f"--mypy_out=quiet:{target}",
                *names,
            ],
            check=True,
        )
    return len(names)


if __name__ == "__main__":
    print(f"{generate(TYPINGS)} modules → {TYPINGS.name}/")

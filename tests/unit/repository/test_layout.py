"""What the checkout must look like for Python's own tools to work in it."""

from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_operator_is_a_source_root_and_never_a_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_tests_are_no_packages() -> None:
    """Test modules are imported by their path: an `__init__.py` below tests/ would make their names collide.

    The bring-up of clusters holds no tests. It is a package like any other, on the path by its folder.
    """
    found = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("__init__.py")}
    assert found <= {"tests/cluster/bringup"}


def test_every_package_is_marked_as_typed() -> None:
    packages = [
        init.parent
        for root in ("core", "kube", "operator", "xds_server", "injector", "cli")
        for init in (ROOT / root).glob("*/__init__.py")
    ]
    assert len(packages) == 6
    assert all((package / "py.typed").exists() for package in packages)

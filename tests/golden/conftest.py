"""Golden files: `--update-golden` writes them anew instead of comparing. Read the diff before it is committed."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--update-golden", action="store_true", help="write golden files anew")


@pytest.fixture(scope="session")
def update_golden(pytestconfig: pytest.Config) -> bool:
    """Whether golden files are to be written anew; the option is known where pytest was pointed at this folder."""
    return bool(pytestconfig.getoption("--update-golden", default=False))

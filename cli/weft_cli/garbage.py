"""Python's collector of cycles, as commands need it that load much and keep it.

By itself it looks through everything again and again while that grows. Modules, models and the rows of a mesh are
almost never garbage, and what has no cycles is freed at once without it.
"""

import gc


def look_rarely() -> None:
    """Look for cycles less often: first of all in a process, for imports are the first that it saves a third of.

    With Python's own thresholds a third of the first synchronisation of 1,000 services is spent looking, too.
    """
    gc.set_threshold(50_000, 20, 100)


def keep_what_is_there() -> None:
    """Never look through what is there now: through 1,000 services and 5,000 pods it takes 0.1 s, for all to wait."""
    gc.freeze()

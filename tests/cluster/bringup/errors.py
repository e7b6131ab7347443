"""What the bring-up raises.

BringUpError              anything below
├── Unavailable           this machine can't do it: tests are skipped, loudly, with this reason
└── Failed                it should have worked and did not: tests fail, with the logs' last lines
"""


class BringUpError(Exception):
    """A cluster for tests could not be had."""


class Unavailable(BringUpError):
    """This machine lacks what a level of the tests needs; the message names it and how to get it."""


class Failed(BringUpError):
    """A part of the cluster did not do what it had to; the message carries its last words."""

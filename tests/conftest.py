"""For all tests: generated cases are the same on every run, unless WEFT_HYPOTHESIS_PROFILE asks for new ones."""

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
if "WEFT_HYPOTHESIS_PROFILE" not in os.environ:
    settings.load_profile("repeatable")

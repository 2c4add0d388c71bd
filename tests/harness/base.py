"""What every test needs: where the programs are, how patient to be, waiting for a condition."""

import os
import re
import time

BUILD = os.environ.get("BUILD", "build")
SLOW = float(os.environ.get("SLOW", "1"))
TICK_S = 0.02  # between two looks at a condition
SANITIZER = re.compile(r"Sanitizer|runtime error:")


def wait_until(condition, seconds):
    """Look at `condition` until it holds; its last value when time is up."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(TICK_S)

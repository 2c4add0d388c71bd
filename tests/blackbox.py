#!/usr/bin/python3
"""Run the black-box tests of tests/blackbox/ over the servers named, or over all of them."""

import blackbox
import harness

if __name__ == "__main__":
    harness.main(__doc__, blackbox.cases(), blackbox.variants)

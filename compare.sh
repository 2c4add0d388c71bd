#!/bin/bash
# Two or more runs side by side: ./compare.sh RUN_A RUN_B [...] (folders in results/; --help).
exec "$(dirname "$0")/bin/archbench" compare "$@"

"""`python -m benchmarks`: what `secagg bench --peers` does, from the source tree."""

from __future__ import annotations

import sys

from secagg.cli import main

sys.argv = ["secagg", "bench", "--peers", *sys.argv[1:]]
main()

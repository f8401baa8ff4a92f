"""`python -m fastconv`: the same as the command `fastconv`. Not importable for anything else."""

import sys

from fastconv.cli import main

sys.exit(main())

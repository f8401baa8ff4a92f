"""How these programs tell the test what they found: a file of JSON lines a process; launchers mix what is printed."""

import json
import os

from fastconv import distribution


def tell(row):
    with open(os.path.join(os.environ["TOLD"], f"{distribution.rank()}.jsonl"), "a") as file:
        file.write(json.dumps({"rank": distribution.rank(), **row}) + "\n")

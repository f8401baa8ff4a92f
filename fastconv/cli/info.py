"""`fastconv info`: what a bug report needs. The text is fastconv.info's."""

from argparse import Namespace


def run(arguments: Namespace) -> int:
    from fastconv.info import report

    print(report())
    return 0

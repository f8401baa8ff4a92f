"""`fastconv info`: what a bug report needs. The text is fastconv.info's."""


def run(arguments) -> int:
    from fastconv.info import report

    print(report())
    return 0

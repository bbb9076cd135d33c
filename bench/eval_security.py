"""The table of security: `python -m bench.eval_security [S3 S5 ...]` measures the bars S1 to S8 on development rows.

The rows are in `security/` of the folder that INTERLOCK_DATA names, `../shared/data` by default; where there are none,
the bars that need them are left out.
"""

import sys
from collections.abc import Callable, Iterator

from bench.security import hostile, leaving, reaching, suspicious
from bench.security.figure import Figure

PARTS: tuple[Callable[[], Iterator[Figure]], ...] = (
    leaving.registered,
    leaving.personal,
    leaving.secrets,
    suspicious.measure,
    leaving.markup,
    hostile.measure,
    reaching.measure,
)


def main(asked: list[str]) -> int:
    """Print the table; 1 when a bar is missed."""
    figures = [figure for part in PARTS for figure in part() if not asked or figure.bar.split(" ")[0] in asked]
    width = max((len(figure.what) for figure in figures), default=0)
    for figure in figures:
        print(f"{figure.bar:<3} {figure.what:<{width}}  {figure.shown:>10}  {figure.allowed:>10}  {figure.verdict}")
    return int(any(figure.missed for figure in figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`python -m interlock`, and the command `interlock`: the whole process."""

import logging
from typing import NoReturn

from interlock.cli import main
from interlock.terminal import leave


def run() -> NoReturn:
    """Run the command that was typed, then end without waiting for what still hangs."""
    logging.getLogger().addHandler(logging.NullHandler())  # no library writes between the lines of a report
    leave(main())


if __name__ == "__main__":
    run()

"""What every script of the workflow does around its work: a log on standard error, one line for a user's mistake."""

import logging
import sys
from collections.abc import Callable


def run(work: Callable[[], object]) -> int:
    """Do `work` and return the exit code: 0, or 1 after one line where the input, a file or a setting is wrong."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        work()
    except (ValueError, RuntimeError, OSError) as error:
        if type(error) is RuntimeError:  # torch's own: no mistake of the user's, so the log gets the traceback
            raise
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0

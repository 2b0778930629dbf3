"""Compute one batch of structures in the Psi4 interpreter, wherever that is.

The arguments are those of `psigraph.quantum.worker`. This process becomes the worker: one process to kill, with which
its Psi4 dies.
"""

import argparse
import os
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"
sys.path.insert(0, str(SOURCE))

from psigraph.quantum.interpreter import (  # noqa: E402
    InterpreterError,
    Psi4Interpreter,
    find_interpreter,
    worker_call,
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--interpreter", type=Path, help="JSON file written by psi4_probe.py; default: look for Psi4")
    arguments, for_worker = parser.parse_known_args()
    try:
        if arguments.interpreter:
            interpreter = Psi4Interpreter.read(arguments.interpreter)
        else:
            interpreter = find_interpreter()
        command, environment = worker_call(interpreter, SOURCE, for_worker)
    except InterpreterError as error:
        print(f"quantum: {error}", file=sys.stderr)
        return 1
    for warning in interpreter.warnings():
        print(f"quantum: warning: {warning}", file=sys.stderr, flush=True)
    os.execve(command[0], command, environment)


if __name__ == "__main__":
    sys.exit(main())

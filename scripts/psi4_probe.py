"""Find the Psi4 interpreter once, before the first job, and write what was found as JSON. Standard library only."""

import argparse
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from psigraph.quantum.interpreter import InterpreterError, find_interpreter


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    output = parser.parse_args().output
    try:
        interpreter = find_interpreter()
    except InterpreterError as error:
        print(f"psi4_probe: {error}", file=sys.stderr)
        return 1
    for warning in interpreter.warnings():
        print(f"psi4_probe: warning: {warning}", file=sys.stderr)
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(interpreter.to_json(), indent=2) + "\n")
    temporary.replace(output)
    print(f"psi4_probe: Psi4 {interpreter.version} in {' '.join(interpreter.command)}, BLAS: {interpreter.blas}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What a training step of DeltaCoupling costs against plain e3nn: time and memory, by size of molecules and batches.

Each measurement is a process of its own (delta_step_job.py) on the same random dimers; plain e3nn and psigraph's three
paths follow each other for each size. plain-x4 has four copies of each harmonic, as spec/delta.md writes it; plain-x1
has one, which is exactly as expressive. --reference adds another file with a plain e3nn model, as shipped-x4 and
shipped-x1. On a GPU bfloat16 is compared too.

    python benchmarks/delta_step.py                     table, and results/benchmarks/delta_step.json
    python benchmarks/delta_step.py --device cuda       the same on a GPU
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import machine

HERE = Path(__file__).parent
SHIPPED = HERE.parents[1] / "shared/bench/delta_reference.py"
#: Atoms from and to, batch.
CASES = [((20, 40), 5), ((20, 40), 32), ((20, 40), 128), ((100, 100), 5), ((100, 100), 32)]
QUICK = [((20, 24), 5)]
#: Cost against size, at a batch of 32.
SIZES = [10, 20, 40, 70]
PLAIN = ("plain", "shipped")
OURS = ["kernel", "compile", "torch"]


def run(args: argparse.Namespace, implementation: str, atoms: tuple[int, int], batch: int) -> dict[str, Any]:
    """Return one measurement."""
    command = [sys.executable, str(HERE / "delta_step_job.py"), "--implementation", implementation]
    command += ["--atoms", *map(str, atoms), "--batch", str(batch), "--threads", str(args.threads)]
    command += ["--repetitions", str(args.repetitions), "--device", args.device]
    command += ["--reference", str(args.reference)] if args.reference else []
    command += ["--bfloat16"] if implementation.endswith("bfloat16") else []
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{implementation}, {atoms} atoms, batch {batch} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def implementations(args: argparse.Namespace) -> list[str]:
    shipped = ["shipped-x4", "shipped-x1"] if args.reference else []
    ours = OURS + (["kernel-bfloat16"] if args.device == "cuda" else [])
    return [*shipped, "plain-x4", "plain-x1", *(name for name in ours if name not in args.without)]


def ratios(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return how many times longer plain e3nn's step takes than each of psigraph's paths, and the paths' memory."""
    times, memory = {}, {}
    for plain in (row for row in rows if row["implementation"].startswith(PLAIN)):
        for ours in (row for row in rows if not row["implementation"].startswith(PLAIN)):
            if (ours["atoms"], ours["batch"]) == (plain["atoms"], plain["batch"]):
                names = plain["implementation"], ours["implementation"]
                case = f"{plain['atoms'][0]}-{plain['atoms'][1]} atoms, B={plain['batch']}"
                times["step time: {} / {}, {}".format(*names, case)] = (
                    plain["train_ms_per_graph"] / ours["train_ms_per_graph"]
                )
                memory["peak memory: {1} / {0}, {2}".format(*names, case)] = ours["peak_mib"] / plain["peak_mib"]
    return times | memory


def check_equal(rows: list[dict[str, Any]]) -> None:
    """Stop where psigraph's paths, or the two plain models, do not give the same numbers before training."""
    for group in (OURS, ["plain-x4", "plain-x1"]):
        found = [row["first_output"] for row in rows if row["implementation"] in group]
        if found and max(found) - min(found) > 1e-4 * max(1.0, *map(abs, found)):
            raise SystemExit(f"{group} do not agree: {found}; the benchmark compares equals")


def table(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'atoms':>9} {'batch':>6} {'':>16} {'forward ms/graph':>17} {'step ms/graph':>14} {'peak MiB':>9}"]
    for row in rows:
        low, high = row["atoms"]
        lines.append(
            f"{f'{low}-{high}':>9} {row['batch']:>6} {row['implementation']:>16} {row['forward_ms_per_graph']:>17.3f}"
            f" {row['train_ms_per_graph']:>14.3f} {row['peak_mib']:>9.0f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/delta_step.json"))
    parser.add_argument(
        "--reference",
        type=Path,
        default=SHIPPED if SHIPPED.exists() else None,
        help="a file with another plain DeltaCoupling to compare with",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--without", nargs="*", default=[], help="paths to leave out, such as compile")
    parser.add_argument("--quick", action="store_true", help="one small case, to see that it runs")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for atoms, batch in QUICK if args.quick else CASES:
        case = [run(args, implementation, atoms, batch) for implementation in implementations(args)]
        check_equal(case)
        rows += case
        print(table(case), flush=True)
    sizes = [] if args.quick else [(n, n) for n in SIZES]
    shown = ("plain-x4", "plain-x1", "torch", "kernel")
    series = [run(args, name, atoms, 32) for atoms in sizes for name in shown]
    series += [
        row for row in rows if row["atoms"] == [100, 100] and row["batch"] == 32 and row["implementation"] in shown
    ]
    content = {
        "machine": {**machine.describe(), "threads": args.threads, "device": machine.device(args.device)},
        "ratios": ratios(rows),
        "rows": rows,
        "by_size": series,
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(content, indent=2) + "\n")
    for name, ratio in content["ratios"].items():
        print(f"{ratio:10.3f}  {name}")
    print(f"wrote {args.output}")


if __name__ == "__main__":
    main()

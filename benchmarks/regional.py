"""What architectures on molecules cost from 10 to 300 atoms, and how many 50-atom molecules a second they train on.

Molecules are peptides (regional_data.py); every measurement is a process of its own (regional_job.py), architecture
after architecture for each size. A batch holds about as many atoms at every size. The throughput on 50-atom molecules
is measured in several rounds, in which all architectures take turns; a ratio is of two medians. Hyperparameters are
those of the research configuration.

    python benchmarks/regional.py                     table, and results/benchmarks/regional.json
    python benchmarks/regional.py --device cuda       the same on a GPU
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import machine
import regional_data
import yaml

HERE = Path(__file__).parent
CONFIG = HERE.parent / "configs/regional.yaml"
EXPERIMENT = "random"
SIZES = [10, 20, 50, 100, 200, 300]
ATOMS = 600  # of a batch
MIDDLE, MIDDLE_BATCH = 50, 16
#: What an exponent is fitted to, and its name.
KEYS = {
    "training time": "train_ms_per_molecule",
    "prediction time": "predict_ms_per_molecule",
    "training memory": "train_mib_per_molecule",
}
#: No architecture may take more for a molecule of 300 atoms.
MOST_MIB = 4096


def hyperparameters(config: Path) -> dict[str, dict[str, Any]]:
    """Return the architectures of the research configuration with their hyperparameters, without variants."""
    found = yaml.safe_load(config.read_text())["experiments"][EXPERIMENT]["architectures"]
    return {name: values or {} for name, values in found.items() if "." not in name}


def batch_file(args: argparse.Namespace, atoms: int, count: int) -> Path:
    """Return the file with a batch of `count` molecules, made where it is not there yet."""
    path: Path = args.folder / f"{atoms}-{count}.pt"
    if not path.exists():
        regional_data.write(path, atoms, count)
    return path


def run(args: argparse.Namespace, name: str, data: Path, plain: bool = False) -> dict[str, Any]:
    """Return one measurement; with `plain` of plain torch, without the kernel."""
    command = [sys.executable, str(HERE / "regional_job.py"), "--architecture", name]
    command += ["--hyperparameters", json.dumps(args.architectures[name]), "--data", str(data)]
    command += ["--threads", str(args.threads), "--repetitions", str(args.repetitions), "--device", args.device]
    command += ["--plain"] if plain else []
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name}, {data.stem} failed:\n{done.stderr[-2000:]}")
    row = json.loads(done.stdout)
    costs = (row[key] for key in ("train_ms_per_molecule", "predict_ms_per_molecule", "train_peak_mib"))
    print(f"{name:>22} {row['atoms']:>5} " + "".join(f"{cost:>10.1f}" for cost in costs), flush=True)
    return row


def exponent(rows: list[dict[str, Any]], key: str) -> float:
    """Return the slope of a straight line through the logarithms of `key` against the number of atoms."""
    points = [(math.log(row["atoms"]), math.log(max(row[key], 1e-3))) for row in rows]
    middle = [statistics.mean(values) for values in zip(*points, strict=True)]
    above = sum((x - middle[0]) * (y - middle[1]) for x, y in points)
    return above / sum((x - middle[0]) ** 2 for x, _ in points)


def throughput(args: argparse.Namespace, atoms: int, batch: int) -> dict[bool, dict[str, float]]:
    """Return the molecules of `atoms` atoms that each architecture trains on in a second, in plain torch and not."""
    found: dict[tuple[bool, str], list[float]] = {(p, name): [] for name in args.architectures for p in (False, True)}
    data = batch_file(args, atoms, batch)
    for _ in range(args.rounds):
        for (plain, name), values in found.items():
            values.append(1e3 / run(args, name, data, plain)["train_ms_per_molecule"])
    return {p: {name: statistics.median(found[p, name]) for name in args.architectures} for p in (False, True)}


def ratios_of(speeds: dict[str, float], plain: dict[str, float]) -> dict[str, float]:
    """Return throughputs as ratios to pamnet, and to plain torch."""
    what = "50-atom molecules trained per second"
    found = {f"{what}: {name} / pamnet": speed / speeds["pamnet"] for name, speed in speeds.items()}
    return found | {f"{what}: {name}, kernel / plain torch": speed / plain[name] for name, speed in speeds.items()}


def exponents_of(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the exponent of each cost against the number of atoms, by architecture."""
    found = {}
    for name in dict.fromkeys(row["architecture"] for row in rows):
        own = [row for row in rows if row["architecture"] == name]
        found[name] = {label: exponent(own, key) for label, key in KEYS.items()}
    return found


def check_memory(rows: list[dict[str, Any]]) -> None:
    """Stop where an architecture takes more memory than it may."""
    for row in rows:
        if row["train_peak_mib"] > MOST_MIB:
            found = f"{row['batch']} molecules of {row['atoms']} atoms take {row['train_peak_mib']:.0f} MiB"
            raise SystemExit(f"{row['architecture']}: {found}, more than {MOST_MIB}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/regional.json"))
    parser.add_argument("--config", type=Path, default=CONFIG, help="its experiment `random` gives hyperparameters")
    parser.add_argument("--only", nargs="*", help="architectures; default: all of the configuration")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--rounds", type=int, default=3, help="turns of the throughput on 50-atom molecules")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--quick", action="store_true", help="two small sizes and one round, to see that it runs")
    args = parser.parse_args()
    every = hyperparameters(args.config)
    args.architectures = {name: values for name, values in every.items() if args.only is None or name in args.only}
    if "pamnet" not in args.architectures:
        raise SystemExit("ratios are to pamnet: name it with --only")
    if args.quick:
        args.rounds, args.repetitions = 1, 2
    sizes = [10, 20] if args.quick else SIZES
    print(f"{'architecture':>22} {'atoms':>5} {'train ms':>10}{'pred. ms':>10}{'MiB':>10}  (times per molecule)")
    with tempfile.TemporaryDirectory() as folder:
        args.folder = Path(folder)
        files = [batch_file(args, atoms, max(1, ATOMS // atoms)) for atoms in sizes]
        rows = [run(args, name, data) for data in files for name in args.architectures]
        check_memory(rows)
        speeds = throughput(args, MIDDLE, 2 if args.quick else MIDDLE_BATCH)
    ratios = ratios_of(speeds[False], speeds[True])
    content = {
        "machine": {**machine.describe(), "threads": args.threads, "device": machine.device(args.device)},
        "hyperparameters": args.architectures,
        "ratios": ratios,
        "molecules_per_s": speeds[False],
        "molecules_per_s_in_plain_torch": speeds[True],
        "exponents": exponents_of(rows),
        "rows": rows,
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(content, indent=2) + "\n")
    for name, ratio in ratios.items():
        print(f"{ratio:10.3f}  {name}")
    print(f"wrote {args.output}")


if __name__ == "__main__":
    main()

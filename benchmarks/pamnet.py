"""What PAMNet's factorised form saves: training step and forward pass against the form with directed edges.

Both forms have the same weights and take turns, step by step, so that a noisy machine is noisy for both; their outputs
and gradients are compared first. A ratio is of two medians of one run.

    python benchmarks/pamnet.py                     table, and results/benchmarks/pamnet.json
    python benchmarks/pamnet.py --device cuda       the same on a GPU
"""

import argparse
import copy
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import torch
from plain_pamnet import plain

from psigraph.graphs.molecule_batch import MoleculeBatch
from psigraph.graphs.molecule_settings import MoleculeSettings
from psigraph.graphs.molecules import molecule_batch
from psigraph.models import build_model
from psigraph.models.regional.inputs import MoleculeInputs, Target
from psigraph.structures.embedding import conformers

#: Molecules as QM9 has them, of nine heavy atoms, and some of about 50 atoms.
SMALL = (
    "CC1CC(O)CC1=O", "CC(C)C(=O)NCCO", "OC1CCC2CC2C1", "c1ccc2[nH]ccc2c1", "CC#CCOC(C)=O", "N#CCC1CCOC1C",
    "CC1(C)CC(=O)C1C", "O=C1NC=CC(=O)C1F", "CCOC1CC(O)C1C", "CN1CCC(C=O)C1=O", "OCC1CC1(C)C#N", "CC12CC1OCC2O",
    "O=CC1CCC=CC1O", "CCCCCCCCC", "Cc1ncc(CO)o1", "CC(O)C1CC1C=O",
)  # fmt: skip
LARGE = (
    "CC(C)Cc1ccc(cc1)C(C)C(=O)NCCc1ccc(O)c(O)c1", "CN1CCC23C4C1CC5=C2C(=C(C=C5)OC)OC3C(C4)OCCCC",
    "CCOC(=O)C1=C(COCCN)NC(C)=C(C1c1ccccc1Cl)C(=O)OC", "CC(C)NCC(O)COc1ccc(CCOC)cc1CCOC(C)C",
)  # fmt: skip
#: Name, molecules, batch.
CASES = [("QM9-like", SMALL, 32), ("QM9-like", SMALL, 128), ("50 atoms", LARGE, 8)]
QUICK = [("QM9-like", SMALL[:2], 2)]
INPUTS = MoleculeInputs((Target("u0", "eV", True),), (), (), (), (), cutoff=5.0, region_cutoff=15.0)
CONSTRUCTION = """
import time, pamnet
started = time.perf_counter()
pamnet.model({dim}, {layers})
print(time.perf_counter() - started)
"""


def model(dim: int, layers: int) -> Any:
    """Return a new PAMNet for one target, without features."""
    return build_model("pamnet", {"dim": dim, "layers": layers}, inputs=INPUTS)


def molecules(smiles: tuple[str, ...], count: int) -> MoleculeBatch:
    """Return `count` conformers of these molecules in turn."""
    each = -(-count // len(smiles))
    found = [structure for text in smiles for structure in conformers(text, each, relax="none")]
    settings = MoleculeSettings(cutoff=5.0, atom_features=[], bond_features=[], region_features=[])
    return molecule_batch(found[:count], settings, dtype=torch.float32)


def both(dim: int, layers: int, device: str) -> dict[str, tuple[Any, Callable[[MoleculeBatch], torch.Tensor]]]:
    """Return both forms and what gives their predictions; outputs that begin at 0 are drawn, so that all count."""
    torch.manual_seed(0)
    factorised = model(dim, layers)
    for layer in (*factorised.global_layers, *factorised.local_layers):
        torch.nn.init.normal_(layer.update.value.weight, std=dim**-0.5)
    factorised = factorised.to(device)
    unfactorised = plain(copy.deepcopy(factorised))
    return {
        "factorised": (factorised, lambda data: factorised(data).labels),
        "unfactorised": (unfactorised, unfactorised),
    }


def check_equal(forms: dict[str, tuple[Any, Any]], data: MoleculeBatch) -> float:
    """Return the largest relative difference of the outputs. Stops above 1e-5: the benchmark compares equals."""
    with torch.inference_mode():
        first, second = (call(data) for _, call in forms.values())
    difference = float((first - second).abs().max() / first.abs().max())
    if difference > 1e-5:
        raise SystemExit(
            f"the two forms differ by {difference:.1e} of the largest output; the benchmark compares equals"
        )
    return difference


def measure(form: tuple[Any, Any], data: MoleculeBatch, train: bool) -> float:
    """Return the seconds one step takes: forward alone, or with all gradients."""
    network, call = form
    network.zero_grad(set_to_none=True)
    _wait(data)
    started = time.perf_counter()
    with torch.set_grad_enabled(train):
        out = call(data)
        if train:
            out.square().sum().backward()
    _wait(data)
    return time.perf_counter() - started


def _wait(data: MoleculeBatch) -> None:
    if data.pos_atoms.is_cuda:
        torch.cuda.synchronize()


def case(args: argparse.Namespace, name: str, smiles: tuple[str, ...], count: int) -> list[dict[str, Any]]:
    """Return a row for each form, measured in turns."""
    data = molecules(smiles, count).to(args.device)
    forms = both(args.dim, args.layers, args.device)
    difference = check_equal(forms, data)
    times: dict[tuple[str, bool], list[float]] = {(form, train): [] for form in forms for train in (True, False)}
    for turn in range(args.repetitions + 2):
        for (form, train), found in times.items():
            seconds = measure(forms[form], data, train)
            if turn >= 2:  # the first ones warm up
                found.append(seconds)
    return [
        {
            "molecules": name, "batch": count, "atoms": len(data.z_atoms) / count, "pairs": len(data.pairs) / count,
            "implementation": form, "difference": difference,
            "train_ms_per_molecule": 1000 * statistics.median(times[form, True]) / count,
            "forward_ms_per_molecule": 1000 * statistics.median(times[form, False]) / count,
        }
        for form in forms
    ]  # fmt: skip


def construction(args: argparse.Namespace) -> float:
    """Return the seconds the first model of a process takes to make, imports left out."""
    code = CONSTRUCTION.format(dim=args.dim, layers=args.layers)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent)
    if done.returncode:
        raise SystemExit(f"constructing PAMNet failed:\n{done.stderr[-2000:]}")
    return float(done.stdout)


def ratios(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return how many times longer the unfactorised form takes."""
    found = {}
    for fast, slow in zip(rows[::2], rows[1::2], strict=True):
        what = f"unfactorised / factorised, {fast['molecules']}, B={fast['batch']}"
        for kind, key in (("training step", "train_ms_per_molecule"), ("forward", "forward_ms_per_molecule")):
            found[f"{kind}: {what}"] = slow[key] / fast[key]
    return found


def table(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'molecules':>10} {'batch':>6} {'atoms':>6} {'':>13} {'forward ms':>11} {'step ms':>8}  (per molecule)"]
    for row in rows:
        lines.append(
            f"{row['molecules']:>10} {row['batch']:>6} {row['atoms']:>6.1f} {row['implementation']:>13}"
            f" {row['forward_ms_per_molecule']:>11.3f} {row['train_ms_per_molecule']:>8.3f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/pamnet.json"))
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--quick", action="store_true", help="one small case, to see that it runs")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows: list[dict[str, Any]] = []
    for name, smiles, count in QUICK if args.quick else CASES:
        rows += case(args, name, smiles, count)
        print(table(rows[-2:]), flush=True)
    content = {
        "machine": {**machine.describe(), "threads": args.threads, "device": machine.device(args.device)},
        "parameters": sum(parameter.numel() for parameter in model(args.dim, args.layers).parameters()),
        "ratios": {**ratios(rows), "construction of the model [s]": construction(args)},
        "rows": rows,
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(content, indent=2) + "\n")
    for name, ratio in content["ratios"].items():
        print(f"{ratio:10.3f}  {name}")
    print(f"wrote {args.output}")


if __name__ == "__main__":
    main()

"""What the grids of the family affinity cost: against a loop over atoms, and as a share of a training step.

Random complexes as large as those of the research set. The Voxelizer, the loop in NumPy (plain_voxels.py) and a step
(forward, backward, AdamW) of each architecture take turns, so that a noisy machine is noisy for all; densities are
compared first. A ratio is of two medians of one run.

    python benchmarks/voxels.py                     table, and results/benchmarks/voxels.json
    python benchmarks/voxels.py --device cuda       the same on a GPU; the loop stays on the CPU
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import numpy as np
import torch
from plain_voxels import plain_voxels

from psigraph.graphs.complex_batch import ComplexBatch
from psigraph.models import build_model

ARCHITECTURES = ("transformer_cnn", "hybrid_cnn_gnn", "residual_transformer_cnn")
#: Points and spacing [Å] of the grids: the default one, and a coarser one of the same size.
GRIDS = [(24, 1.0), (16, 1.5)]
WIDTH, BATCH = 1.0, 8
#: Of the research set: atoms of the ligand and of the protein within 12 Å, without hydrogen, and the volume of each.
ATOMS, SITES, VOLUME = 28, 600, 20.0
POCKET, CONTACT = 6.0, 4.5  # Å
REPETITIONS_OF_THE_LOOP = 3
#: The Voxelizer is to be so many times as fast as the loop, and to take less than this share of a step.
LEAST_RATIO, MOST_SHARE = 20.0, 0.05


def complexes(count: int, seed: int = 0) -> ComplexBatch:
    """Return random complexes: a chain of atoms in a hole in the middle of a ball of protein atoms."""
    rng = np.random.default_rng(seed)
    ligands = [np.cumsum(rng.normal(0, 0.8, (ATOMS, 3)), axis=0) for _ in range(count)]
    radius = ((SITES + 2 * ATOMS) * VOLUME * 3 / (4 * np.pi)) ** (1 / 3)
    hole = radius * (2 * ATOMS / (SITES + 2 * ATOMS)) ** (1 / 3)
    sites, inside, contacts = [], [], []
    for k, ligand in enumerate(ligands):
        ligand -= ligand.mean(0)
        direction = rng.normal(size=(SITES, 3))
        distance = rng.uniform(hole**3, radius**3, (SITES, 1)) ** (1 / 3)
        sites.append(direction / np.linalg.norm(direction, axis=1, keepdims=True) * distance)
        near = np.linalg.norm(ligand[:, None] - sites[-1], axis=2)
        inside.append(near.min(0) < POCKET)
        contacts.append(np.argwhere(near < CONTACT) + [k * ATOMS, k * SITES])
    chain = np.stack([np.arange(ATOMS - 1), np.arange(1, ATOMS)], 1)
    return ComplexBatch(
        z_atoms=_numbers(rng.choice([6, 7, 8, 16, 9], count * ATOMS, p=[0.7, 0.12, 0.12, 0.03, 0.03])),
        pos_atoms=_reals(np.concatenate(ligands)),
        atom_features=_features(rng, count * ATOMS),
        bonds=_numbers(np.concatenate([chain + k * ATOMS for k in range(count)])),
        bond_features=_reals(rng.uniform(0, 2, (count * (ATOMS - 1), 3))),
        site_z=_numbers(rng.choice([6, 7, 8, 16], count * SITES, p=[0.63, 0.17, 0.19, 0.01])),
        site_pos=_reals(np.concatenate(sites)),
        site_features=_features(rng, count * SITES),
        in_pocket=torch.from_numpy(np.concatenate(inside)),
        contacts=_numbers(np.concatenate(contacts)),
        y=_reals(rng.normal(7, 1.3, (count, 1))),
        atoms_batch=_numbers(np.repeat(np.arange(count), ATOMS)),
        sites_batch=_numbers(np.repeat(np.arange(count), SITES)),
        atoms_ptr=_numbers(ATOMS * np.arange(count + 1)),
        bonds_ptr=_numbers((ATOMS - 1) * np.arange(count + 1)),
        sites_ptr=_numbers(SITES * np.arange(count + 1)),
        contacts_ptr=_numbers(np.cumsum([0, *map(len, contacts)])),
        index=_numbers(np.arange(count)),
        global_size=count,
    )


def _numbers(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.int64))


def _reals(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _features(rng: np.random.Generator, atoms: int) -> torch.Tensor:
    flags = rng.uniform(size=(atoms, 4)) < [0.15, 0.2, 0.15, 0.4]
    return _reals(np.concatenate([flags, rng.normal(0, 0.3, (atoms, 1))], 1))


def trainer(architecture: str, grid: dict[str, Any], data: ComplexBatch) -> tuple[Any, Callable[[], None]]:
    """Return a model and what takes a training step of it."""
    torch.manual_seed(0)
    model = build_model(architecture, grid).to(data.y.device)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-4, weight_decay=1e-4)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        (model(data).labels - data.y).square().mean().backward()
        optimizer.step()

    return model, step


def seconds(call: Callable[[], Any], device: str) -> float:
    """Return how long a call takes."""
    _wait(device)
    started = time.perf_counter()
    call()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def check_equal(model: Any, data: ComplexBatch, grid: dict[str, Any]) -> float:
    """Return the largest difference of the densities. Stops above 1e-4: the benchmark compares equals."""
    with torch.inference_mode():
        found = model.voxelizer(data).cpu()
    difference = float((found - torch.from_numpy(plain_voxels(data.to("cpu"), **grid))).abs().max())
    if difference > 1e-4:
        raise SystemExit(f"the densities differ by {difference:.1e}; the benchmark compares equals")
    return difference


def case(args: argparse.Namespace, points: int, spacing: float, data: ComplexBatch) -> list[dict[str, Any]]:
    """Return a row for each architecture, all measured in turns; the first has the loop's time as well."""
    grid = {"grid_points": points, "spacing": spacing, "width": WIDTH}
    trainers = {name: trainer(name, grid, data) for name in ARCHITECTURES}
    difference = check_equal(trainers[ARCHITECTURES[0]][0], data, grid)
    steps: dict[str, list[float]] = {name: [] for name in ARCHITECTURES}
    voxels: dict[str, list[float]] = {name: [] for name in ARCHITECTURES}
    loop: list[float] = []
    for turn in range(args.repetitions + 2):
        for name, (model, step) in trainers.items():
            taken, share = seconds(step, args.device), seconds(lambda model=model: model.voxelizer(data), args.device)
            if turn >= 2:  # the first ones warm up
                steps[name].append(taken)
                voxels[name].append(share)
        if turn < REPETITIONS_OF_THE_LOOP:
            loop.append(seconds(lambda: plain_voxels(data.to("cpu"), **grid), args.device))
    return [
        {
            "grid": f"{points}³ of {spacing} Å", "architecture": name, "batch": data.num_graphs,
            "parameters": sum(parameter.numel() for parameter in trainers[name][0].parameters()),
            "step_ms": 1000 * statistics.median(steps[name]), "voxels_ms": 1000 * statistics.median(voxels[name]),
            "loop_ms": 1000 * statistics.median(loop), "difference": difference,
        }
        for name in ARCHITECTURES
    ]  # fmt: skip


def ratios(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return how many times longer the loop takes, and the voxels' share of each architecture's step."""
    found = {}
    for grid in dict.fromkeys(row["grid"] for row in rows):
        here = [row for row in rows if row["grid"] == grid]
        voxels = statistics.median(row["voxels_ms"] for row in here)
        found[f"loop over atoms / Voxelizer, {grid}, B={BATCH}"] = here[0]["loop_ms"] / voxels
        for row in here:
            found[f"Voxelizer / training step, {row['architecture']}, {grid}, B={BATCH}"] = (
                row["voxels_ms"] / row["step_ms"]
            )
    return found


def table(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'grid':>13} {'':>24} {'parameters':>11} {'step ms':>9} {'voxels ms':>10} {'loop ms':>9}  (per batch)"]
    for row in rows:
        lines.append(
            f"{row['grid']:>13} {row['architecture']:>24} {row['parameters']:>11,} {row['step_ms']:>9.1f}"
            f" {row['voxels_ms']:>10.2f} {row['loop_ms']:>9.1f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/voxels.json"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--quick", action="store_true", help="a small grid, to see that it runs")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    data = complexes(BATCH).to(args.device)
    rows: list[dict[str, Any]] = []
    for points, spacing in [(8, 3.0)] if args.quick else GRIDS:
        rows += case(args, points, spacing, data)
        print(table(rows[-len(ARCHITECTURES) :]), flush=True)
    content = {
        "machine": {**machine.describe(), "threads": args.threads, "device": machine.device(args.device)},
        "aims": {"least ratio to the loop": LEAST_RATIO, "most of a training step": MOST_SHARE},
        "ratios": ratios(rows),
        "rows": rows,
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(content, indent=2) + "\n")
    for name, ratio in content["ratios"].items():
        print(f"{ratio:10.3f}  {name}")
    print(f"wrote {args.output}")


if __name__ == "__main__":
    main()

"""One measurement of delta_step.py in a process of its own: DeltaCoupling's time per graph and peak memory, as JSON."""

import argparse
import importlib.util
import json
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from psigraph.graphs.data import DimerData, dimer_data
from psigraph.graphs.neighbours import pair_distances, pairs_within
from psigraph.models.delta_coupling import DeltaCoupling

GRAPHS = {"cutoff": 12.0, "length_scale": 0.1, "atom_width": 3}
DENSITY = 0.1  # atoms per Å³


def dimer(rng: np.random.Generator, atoms: int) -> DimerData:
    """Return a dimer of two random balls of atoms, at least 0.9 Å apart, with all pairs within 12 Å."""
    balls, radii = zip(*(_ball(rng, n) for n in (atoms // 2, atoms - atoms // 2)), strict=True)
    distance = sum(radii) + rng.uniform(1, 3)
    positions = np.concatenate([balls[0], balls[1] + [0, 0, distance]])
    pairs = pairs_within(positions, GRAPHS["cutoff"])
    v_0, v_ref = rng.normal(size=2)
    return dimer_data(
        z_atoms=rng.choice([1, 1, 1, 6, 6, 7, 8], size=atoms),
        pos_atoms=positions * 0.1,
        atomic_node_attr=rng.uniform(0, 4, size=(atoms, 3)),
        field_node_features=rng.normal(size=8),
        u=np.array([distance * 0.1, rng.uniform(0, np.pi), v_0, rng.uniform()]),
        y=v_ref - v_0,
        y_true_vref=v_ref,
        R_internal_val=distance * 0.1,
        pairs=pairs,
        distances=pair_distances(positions, pairs) * 0.1,
        index=0,
        graph_id="random",
        dtype=torch.float32,
    )


def _ball(rng: np.random.Generator, atoms: int) -> tuple[np.ndarray, float]:
    radius = (3 * atoms / (4 * np.pi * DENSITY)) ** (1 / 3)
    points: list[np.ndarray] = []
    while len(points) < atoms:
        point = rng.uniform(-radius, radius, size=3)
        if np.linalg.norm(point) <= radius and all(np.linalg.norm(point - other) > 0.9 for other in points):
            points.append(point)
    return np.array(points), radius


def build(implementation: str, reference: Path | None) -> tuple[torch.nn.Module, Callable[[Any], Any]]:
    """Return a model and what calls it: psigraph's on one of its paths, or one in plain e3nn."""
    torch.manual_seed(0)
    name, _, copies = implementation.partition("-x")
    if name == "shipped":
        assert reference is not None
        spec = importlib.util.spec_from_file_location("delta_reference", reference)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        model = module.DeltaCoupling(**({"irreps_sh": "1x0e+1x1o+1x2e+1x3o"} if copies == "1" else {}))
        return model, model
    if name == "plain":
        from plain_e3nn import PlainDeltaCoupling

        model = PlainDeltaCoupling(int(copies), **GRAPHS)
        return model, model
    model = DeltaCoupling(**GRAPHS)
    model.kernel = implementation.startswith("kernel")
    return model, torch.compile(model, dynamic=True) if implementation == "compile" else model


def median(call: Callable[[], Any], device: str, repetitions: int) -> float:
    """Return the median seconds of a call, after three that warm up."""
    times = []
    for number in range(repetitions + 3):
        _synchronise(device)
        start = time.perf_counter()
        call()
        _synchronise(device)
        times.append(time.perf_counter() - start)
        if number >= 5 and sum(times) > 60:
            break
    return statistics.median(times[3:])


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def measure(args: argparse.Namespace) -> dict[str, Any]:
    from torch_geometric.data import Batch

    low, high = args.atoms
    rng = np.random.default_rng(1)
    pool = [dimer(rng, int(rng.integers(low, high + 1))) for _ in range(min(args.batch, 32))]
    data = Batch.from_data_list([pool[i % len(pool)] for i in range(args.batch)], follow_batch=["z_atoms"])
    data = data.to(args.device)
    before = _peak(args.device)
    model, call = build(args.implementation, args.reference)
    model.to(args.device)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(args.device, torch.bfloat16, enabled=args.bfloat16):
            delta = call(data)
        loss = ((delta + data.u[:, 2] - data.y_true_vref).abs() * data.u[:, 0]).mean()
        loss.backward()
        optimizer.step()

    def forward() -> None:
        with torch.no_grad():
            call(data)

    with torch.no_grad():
        first = call(data).double().sum().item()
    train = median(step, args.device, args.repetitions)
    return {
        "implementation": args.implementation,
        "atoms": list(args.atoms),
        "batch": args.batch,
        "edges": (data.edge_index_atoms.shape[1] + 2 * len(data.z_atoms)) / args.batch,
        "forward_ms_per_graph": 1e3 * median(forward, args.device, args.repetitions) / args.batch,
        "train_ms_per_graph": 1e3 * train / args.batch,
        "peak_mib": _peak(args.device) - before,
        "first_output": first,
    }


def _peak(device: str) -> float:
    """Return the peak memory [MiB] of the GPU, or of this process."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--implementation", required=True, help="kernel, compile, torch, plain-x4, plain-x1, shipped-x4, …"
    )
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--atoms", type=int, nargs=2, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bfloat16", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.filterwarnings("ignore")
    json.dump(measure(args), sys.stdout)


if __name__ == "__main__":
    main()

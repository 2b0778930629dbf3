"""One measurement of regional.py in a process of its own: time per molecule and peak memory of a model, as JSON."""

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from regional_data import TARGETS, read

from psigraph.graphs.molecule_settings import MoleculeSettings
from psigraph.models import build_model
from psigraph.models.regional.normalisation import MoleculeStatistics
from psigraph.training.device import keep_freed_memory

LONGEST = 60.0  # s of one series of calls


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Return time and memory of predictions and of training steps on one batch.

    Predictions come first: they take less memory, and a process remembers only the most it had.
    """
    data = read(args.data).to(args.device)
    before = peak(args.device)
    torch.manual_seed(0)
    model = build_model(args.architecture, json.loads(args.hyperparameters), inputs=MoleculeSettings().inputs(TARGETS))
    model.fit_normalisation(MoleculeStatistics.of([data.to("cpu")]))
    model.to(args.device)
    model.kernel = not args.plain
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
    scale = data.y.std(0).clamp(min=1e-3)

    def train() -> None:
        optimizer.zero_grad(set_to_none=True)
        ((model(data).labels - data.y) / scale).abs().mean().backward()
        optimizer.step()

    def predict() -> None:
        with torch.inference_mode():
            model(data)

    count = int(data.num_graphs)
    row: dict[str, Any] = {"architecture": args.architecture, "atoms": len(data.z_atoms) // count, "batch": count}
    row |= {"pairs": len(data.pairs) / count, "region_pairs": len(data.region_pairs) / count}
    for what, call in (("predict", predict), ("train", train)):
        row[f"{what}_ms_per_molecule"] = 1e3 * median(call, args.device, args.repetitions) / count
        row[f"{what}_peak_mib"] = peak(args.device)
        row[f"{what}_mib_per_molecule"] = (peak(args.device) - before) / count
    return row | {"parameters": sum(parameter.numel() for parameter in model.parameters())}


def median(call: Callable[[], Any], device: str, repetitions: int) -> float:
    """Return the median seconds of a call after two that warm up; fewer calls where they take long."""
    times: list[float] = []
    for _ in range(repetitions + 2):
        synchronise(device)
        start = time.perf_counter()
        call()
        synchronise(device)
        times.append(time.perf_counter() - start)
        if len(times) >= 4 and sum(times) > LONGEST:
            break
    return statistics.median(times[2:])


def synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def peak(device: str) -> float:
    """Return the peak memory [MiB] of the GPU, or of this process."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", required=True)
    parser.add_argument("--hyperparameters", default="{}", help="as JSON")
    parser.add_argument("--data", type=Path, required=True, help="a batch that regional_data.py wrote")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--plain", action="store_true", help="plain torch, without the kernel")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_freed_memory()  # as training does
    json.dump(measure(args), sys.stdout)


if __name__ == "__main__":
    main()

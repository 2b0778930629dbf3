"""Writes docs/performance.md and its plots from the benchmarks' files: python benchmarks/page.py [--folder DIR].

A benchmark without results keeps the section it has.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
from delta_step import PLAIN

DOCS = Path(__file__).parents[1] / "docs"
#: Benchmark: what its page says before the ratios.
BENCHMARKS = {
    "delta_step": "One training step of DeltaCoupling against the same model in plain e3nn "
    "(`benchmarks/delta_step.py`). `plain-x4` holds four copies of each harmonic, as the model was first written down; "
    "`plain-x1` holds one, which is as expressive; `shipped` is another plain e3nn implementation. `kernel`, `compile` "
    "and `torch` are settings of `training.execution`.",
    "pamnet": "PAMNet in its factorised form against the usual one on directed edges with the same weights "
    "(`benchmarks/pamnet.py`), and the time to make the model.",
    "regional": "Architectures on molecules (`benchmarks/regional.py`): peptides of 10 to 300 atoms, about 600 in a "
    "batch; the throughput is of batches of 50-atom molecules. Memory is that of a whole process at 300 atoms. An "
    "exponent is the slope of the logarithm of the cost of a molecule against that of its number of atoms.",
    "voxels": "Densities of complexes on a grid (`benchmarks/voxels.py`) against a loop over atoms and points, and the "
    "share that making them has in a training step, batches of 8.",
    "graph_build": "Structure and quantum stores to graph shards (`benchmarks/graph_build.py`).",
    "loading": "Shards to batches (`benchmarks/loading.py`).",
    "quantum": "The quantum stage against bare Psi4 (`benchmarks/quantum.py`).",
}


def page(results: Mapping[str, Mapping[str, Any]], earlier: Mapping[str, str]) -> str:
    """Return the page: sections of the benchmarks that have results, and `earlier` ones of the others."""
    head = "# Performance\n\nWritten by `make benchmarks`. Every ratio is of two figures of one run.\n"
    sections = {**earlier, **{name: section(name, found) for name, found in results.items()}}
    plot = "![cost against size](performance.svg)\n"
    return "\n".join([head, plot, *(sections[name] for name in BENCHMARKS if name in sections)])


def sections_of(text: str) -> dict[str, str]:
    """Return the sections of a page, by benchmark."""
    found = ["## " + part for part in text.split("\n## ")[1:]]
    return {part.split()[1]: part.rstrip("\n") + "\n" for part in found}


def section(name: str, found: Mapping[str, Any]) -> str:
    """Return the section of one benchmark: what it measures, on which machine, and its figures."""
    machine = found["machine"]
    where = f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB"
    where += f", {machine['threads']} threads" if "threads" in machine else ""
    where += f", on {machine['device']}" if machine.get("device", "cpu") != "cpu" else ""
    lines = [f"## {name}", "", BENCHMARKS[name], "", f"Measured on {where}.", ""]
    if name == "delta_step":
        lines += steps(found["rows"])
    elif name == "regional":
        lines += ["![cost of architectures](performance_regional.svg)", "", *architectures(found)]
    else:
        lines += [*builds(found["figures"]), ""] if name == "graph_build" else []
        lines += ["| ratio | |", "|---:|---|"]
        lines += [f"| {_short(value)} | {key} |" for key, value in found["ratios"].items()]
    return "\n".join([*lines, ""])


def steps(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the table of training steps: how many times longer each plain model takes, and the memory it takes."""
    plain = list(dict.fromkeys(r["implementation"] for r in rows if r["implementation"].startswith(PLAIN)))
    lines = [f"| atoms | B | path | ms per dimer | {' | '.join(f'time of {name} over it' for name in plain)} "]
    lines[0] += f"| its peak memory over that of {plain[0]} |"
    lines.append("|---|---:|---|" + "---:|" * (len(plain) + 2))
    for row in (row for row in rows if row["implementation"] not in plain):
        case = {r["implementation"]: r for r in rows if (r["atoms"], r["batch"]) == (row["atoms"], row["batch"])}
        low, high = row["atoms"]
        cells = [f"{low}" if low == high else f"{low}–{high}", str(row["batch"]), row["implementation"]]
        cells.append(_short(row["train_ms_per_graph"]))
        cells += [_short(case[name]["train_ms_per_graph"] / row["train_ms_per_graph"]) for name in plain]
        lines.append(f"| {' | '.join([*cells, _short(row['peak_mib'] / case[plain[0]]['peak_mib'])])} |")
    return lines


def builds(figures: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """Return the table of what building shards took."""
    lines = ["| graphs | | µs of CPU per structure | with the process's start | peak memory above import [MiB] |"]
    lines.append("|---|---|---:|---:|---:|")
    for graphs, ways in figures.items():
        for way, found in ways.items():
            cells = [_short(found[key]) for key in ("cpu", "all in", "peak MiB")]
            lines.append(f"| {graphs} | {way} | {' | '.join(cells)} |")
    return lines


def architectures(found: Mapping[str, Any]) -> list[str]:
    """Return the table of what architectures on molecules cost: throughput, memory, exponents."""
    speeds, exponents = found["molecules_per_s"], found["exponents"]
    labels = list(next(iter(exponents.values())))
    lines = ["| architecture | parameters | 50-atom molecules/s, training | over pamnet | peak memory [MiB] |"]
    lines[0] += "".join(f" exponent of {label} |" for label in labels)
    lines.append("|---|" + "---:|" * (4 + len(labels)))
    for name, speed in speeds.items():
        largest = max((row for row in found["rows"] if row["architecture"] == name), key=lambda row: row["atoms"])
        cells = [name, f"{largest['parameters']:,}", _short(speed), _short(speed / speeds["pamnet"])]
        cells += [_short(largest["train_peak_mib"]), *(f"{exponents[name][label]:.2f}" for label in labels)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def plot(results: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw the cost of a training step and of building graphs against the size of molecules and of the dataset."""
    matplotlib.use("Agg")
    plt.rcParams["svg.hashsalt"] = "psigraph"
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    rows = results["delta_step"].get("by_size", [])
    for name in dict.fromkeys(row["implementation"] for row in rows):
        points = [(row["atoms"][0], row["train_ms_per_graph"]) for row in rows if row["implementation"] == name]
        axes[0].plot(*zip(*points, strict=True), "o-", label=name)
    axes[0].set(xlabel="atoms", ylabel="training step [ms per dimer]", title="DeltaCoupling, batches of 32")
    series = results["graph_build"].get("series", {})
    for label, values in series.get("dimer size", {}).items():
        if label != "atoms":
            axes[1].plot(series["dimer size"]["atoms"], values, "o-", label=f"cutoff {label}")
    axes[1].set(xlabel="atoms", ylabel="building [µs of CPU per dimer]", title="graphs against molecule size")
    by_dataset = series.get("dataset size", {})
    for label in ("cpu", "all in"):
        if label in by_dataset:
            name = {"cpu": "building", "all in": "with the process's start"}[label]
            axes[2].plot(by_dataset["dimers"], by_dataset[label], "o-", label=name)
    axes[2].set(xlabel="dimers", ylabel="building [µs of CPU per dimer]", title="graphs against dataset size, 5 Å")
    for axis in axes:
        axis.set(xscale="log", yscale="log")
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def plot_architectures(found: Mapping[str, Any], path: Path) -> None:
    """Draw time and memory of a molecule against its number of atoms, a line for each architecture."""
    matplotlib.use("Agg")
    plt.rcParams["svg.hashsalt"] = "psigraph"
    panels = {
        "train_ms_per_molecule": "training step [ms per molecule]",
        "predict_ms_per_molecule": "prediction [ms per molecule]",
        "train_mib_per_molecule": "memory of training [MiB per molecule]",
    }
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.2), layout="constrained")
    for axis, (key, label) in zip(axes, panels.items(), strict=True):
        for name in found["molecules_per_s"]:
            points = [(row["atoms"], row[key]) for row in found["rows"] if row["architecture"] == name]
            axis.plot(*zip(*points, strict=True), "o-", label=name)
        axis.set(xscale="log", yscale="log", xlabel="atoms", ylabel=label)
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("results/benchmarks"))
    parser.add_argument("--docs", type=Path, default=DOCS)
    args = parser.parse_args()
    files = {name: args.folder / f"{name}.json" for name in BENCHMARKS}
    results = {name: json.loads(path.read_text()) for name, path in files.items() if path.exists()}
    missing = [name for name in BENCHMARKS if name not in results]
    if missing:
        print(f"no results of {', '.join(missing)} in {args.folder}, what the page says of them stays; make benchmarks")
    args.docs.mkdir(parents=True, exist_ok=True)
    written = args.docs / "performance.md"
    earlier = sections_of(written.read_text(encoding="utf-8")) if written.exists() else {}
    written.write_text(page(results, earlier), encoding="utf-8")
    if {"delta_step", "graph_build"} <= results.keys():
        plot(results, args.docs / "performance.svg")
    if "regional" in results:
        plot_architectures(results["regional"], args.docs / "performance_regional.svg")
    print(f"wrote {written}")


if __name__ == "__main__":
    main()

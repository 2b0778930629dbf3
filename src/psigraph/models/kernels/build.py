"""Builds the kernels for this processor: `python -m psigraph.models.kernels`.

The coefficients come from e3nn: `paths_header` writes them as the C++ header that pair_sum.cpp includes. The library
lies beside the sources under a name that depends on sources, coefficients and processor, so that a library built on
another kind of machine or before a change is not found, instead of being wrong.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from math import sqrt
from pathlib import Path
from typing import NamedTuple

import torch
from e3nn import o3

from psigraph.models.equivariant import HARMONICS, NODE, PairTensorProduct

log = logging.getLogger(__name__)

FOLDER = Path(__file__).parent
SOURCES = (FOLDER / "pair_sum.cpp", FOLDER / "edge_sum.cpp")
NAME = "kernels"
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-std=c++17", "-fopenmp", "-shared", "-fPIC")
REMEDY = "python -m psigraph.models.kernels"


class Output(NamedTuple):
    """One number of a message: w[weight] Σ c x[a] y[b] over the terms (a, b, c), times `sign` in a second direction."""

    column: int  # of the message
    weight: int
    sign: int
    terms: tuple[tuple[int, int, float], ...]


@cache
def paths() -> tuple[Output, ...]:
    """Return the numbers of a message of DeltaCoupling's tensor product: of scalars, by harmonic, then the others."""
    product = PairTensorProduct(NODE)
    inputs, harmonics, columns = product.irreps_in.slices(), HARMONICS.slices(), product.irreps_mid.slices()
    outputs, weight = [], 0
    for i, j, place, *_ in product.instructions:
        (mul, ir_in), ir_sh, ir_out = product.irreps_in[i], HARMONICS[j].ir, product.irreps_mid[place].ir
        coupling = o3.wigner_3j(ir_in.l, ir_sh.l, ir_out.l, dtype=torch.float64) * sqrt(ir_out.dim)
        if i == 0:  # scalars multiply the harmonics: the coupling is the identity
            assert torch.allclose(coupling[0], torch.eye(ir_sh.dim, dtype=torch.float64), atol=1e-14)
            coupling = coupling.round()
        for m in range(ir_out.dim):
            entries = [(a, b, float(coupling[a, b, m])) for a, b in coupling[:, :, m].nonzero().tolist()]
            for channel in range(mul):
                first = inputs[i].start + channel * ir_in.dim
                terms = tuple((first + a, harmonics[j].start + b, c) for a, b, c in entries)
                column = columns[place].start + channel * ir_out.dim + m
                outputs.append(Output(column, weight + channel, ir_sh.p, terms))
        weight += mul
    return tuple(outputs)


@cache
def paths_header() -> str:
    """Return `paths` as the C++ header that the kernel includes: sizes, orders and coefficients."""
    product = PairTensorProduct(NODE)
    state, scalars = product.irreps_in.dim, product.scalars
    by_harmonic = [o for o in paths() if o.terms[0][0] == 0]  # of the first scalar
    degrees = [o.weight // scalars for o in by_harmonic]
    outputs = paths()[scalars * len(by_harmonic) :]
    terms = [f"{{{a - scalars}, {b}, {k}, {c!r}}}" for k, o in enumerate(outputs) for a, b, c in o.terms]
    lines = [
        "// Generated from e3nn by build.py. "
        "a: vector and tensor of the state, b: harmonic, k: output, c: coefficient.",
        f"constexpr int STATE = {state}, SCALARS = {scalars}, VECTORS = {state - scalars};",
        f"constexpr int HARMONICS = {HARMONICS.dim}, SCALAR_HARMONICS = {len(degrees)}, DEGREES = {max(degrees) + 1};",
        f"constexpr int WEIGHTS = {product.weight_numel}, OUTPUTS = {len(outputs)};",
        _array("DEGREE", degrees),
        _array("SCALAR_SIGN", [o.sign for o in by_harmonic]),
        _array("WEIGHT", [o.weight for o in outputs]),
        _array("SIGN", [o.sign for o in outputs]),
        _array("COLUMN", [o.column for o in paths()]),
        "struct Term { int a, b, k; double c; };",
        f"constexpr Term TERMS[] = {{{', '.join(terms)}}};",
    ]
    return "\n".join(lines) + "\n"


def _array(name: str, values: list[int]) -> str:
    return f"constexpr int {name}[] = {{{', '.join(map(str, values))}}};"


@cache
def library_path() -> Path:
    """Return where the library for this processor and source lies or would lie."""
    source = _short_digest(*(path.read_text() for path in SOURCES), paths_header(), *FLAGS)
    return FOLDER / f"{NAME}-{source}-{_short_digest(_processor())}.so"


@cache
def library() -> ctypes.CDLL | None:
    """Return the library for this processor and source; None where it was not built."""
    path = library_path()
    return ctypes.CDLL(str(path)) if path.exists() else None


def _short_digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


def _processor() -> str:
    """Return what machine code this processor can run, as far as the system says."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.system()} {platform.machine()} {flags}"


def build() -> Path | None:
    """Compile the kernels and return their library, or None with a log line where there is no compiler or it fails."""
    target = library_path()
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        log.info("no C++ compiler was found: models run in plain torch; with one, run: %s", REMEDY)
        return None
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        (Path(folder) / "paths.h").write_text(paths_header())
        output = Path(folder) / target.name
        command = [compiler, *FLAGS, "-I", folder, *map(str, SOURCES), "-o", str(output)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            log.warning("the kernels did not compile: models run in plain torch\n%s", done.stderr[:2000])
            return None
        os.replace(output, target)
    for other in FOLDER.glob(f"{NAME}-*.so"):  # those for other processors stay
        if other.name.split("-")[1] != target.name.split("-")[1]:
            other.unlink()
    return target


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if library_path().exists() or build():
        log.info("the kernels are built: %s", library_path().name)
    return 0

"""Where a run computes and how precisely: decided once, from arguments that a test can give."""

import ctypes
import sys
from collections.abc import Mapping

import torch

#: Set inside an allocation of a Slurm cluster.
CLUSTER_VARIABLE = "SLURM_JOB_ID"
ALLOW_CPU = "PSIGRAPH_ALLOW_CPU"

#: glibc's mallopt: parameter and value. Freed memory is given back above 1 GB; blocks up to 32 MiB come from the heap.
_MALLOC = ((-1, 1_000_000_000), (-3, 32 * 2**20))

#: Setting: precision as Lightning calls it. float64 converts model and data, which Lightning need not know about.
_LIGHTNING = {"float32": "32-true", "float64": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}


class DeviceError(RuntimeError):
    """The job cannot compute where it was started; the message says what to do."""


def choose_device(gpus: int, *, cuda_available: bool, environment: Mapping[str, str]) -> str:
    """Return "cuda" or "cpu" for a job that asked for `gpus` GPUs.

    Outside a cluster the CPU is used silently where there is no GPU. Raises DeviceError inside a Slurm allocation where
    the job asked for a GPU and sees none, unless PSIGRAPH_ALLOW_CPU=1.
    """
    if gpus > 0 and cuda_available:
        return "cuda"
    if gpus > 0 and environment.get(CLUSTER_VARIABLE) and environment.get(ALLOW_CPU) != "1":
        raise DeviceError(
            f"Slurm job {environment[CLUSTER_VARIABLE]} asked for a GPU and torch sees none; check that the partition "
            f"has GPUs and that torch was installed with CUDA, or set {ALLOW_CPU}=1 to train on the CPU"
        )
    return "cpu"


def choose_precision(setting: str, device: str, capability: tuple[int, int] | None) -> str:
    """Return float32, float64, bfloat16 or float16 for a setting, device and the GPU's compute capability.

    `auto` is bfloat16 on GPUs of capability 8.0 and above, float16 (with gradient scaling) on older ones, float32 on
    the CPU (spec/delta.md §6). Raises DeviceError for float16 on the CPU, where gradients cannot be scaled.
    """
    if setting == "auto":
        if device != "cuda":
            return "float32"
        return "bfloat16" if capability is not None and capability >= (8, 0) else "float16"
    if setting not in _LIGHTNING:
        raise DeviceError(f"unknown precision {setting!r}; known: auto, {', '.join(_LIGHTNING)}")
    if setting == "float16" and device != "cuda":
        raise DeviceError("precision float16 needs a GPU; set training.precision to auto, float32 or bfloat16")
    return setting


def lightning_precision(precision: str) -> str:
    """Return Lightning's name of a precision; float16 is the one that comes with a gradient scaler."""
    return _LIGHTNING[precision]


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees; return whether its C library can.

    By default glibc gives the tensors of a step back to the kernel and asks for them again in the next one: thousands
    of page faults, a tenth of a step's time on small molecules.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and all([mallopt(parameter, value) for parameter, value in _MALLOC])


def peak_memory(device: str) -> dict[str, float | None]:
    """Return the most memory that this process has used so far, and that its tensors had on its GPU [MiB]."""
    gpu = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else None
    return {"peak_memory_mib": _peak_rss(), "peak_gpu_memory_mib": None if gpu is None else round(gpu, 1)}


def _peak_rss() -> float | None:
    """Return the largest resident set so far [MiB]; None on Windows, which does not say."""
    if sys.platform == "win32":
        return None
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10  # of ru_maxrss: bytes or KiB
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)

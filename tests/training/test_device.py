"""Device and precision, as pure functions of what a machine would say."""

import subprocess
import sys

import pytest

from psigraph.training.device import DeviceError, choose_device, choose_precision, lightning_precision


def test_laptop_without_a_gpu_uses_the_cpu() -> None:
    assert choose_device(1, cuda_available=False, environment={}) == "cpu"


def test_gpu_is_used_only_where_asked_for() -> None:
    assert choose_device(1, cuda_available=True, environment={}) == "cuda"
    assert choose_device(0, cuda_available=True, environment={"SLURM_JOB_ID": "7"}) == "cpu"
    assert choose_device(0, cuda_available=False, environment={"SLURM_JOB_ID": "7"}) == "cpu"


def test_cluster_job_without_the_gpu_it_asked_for_stops() -> None:
    with pytest.raises(DeviceError, match="Slurm job 7 asked for a GPU and torch sees none.*PSIGRAPH_ALLOW_CPU=1"):
        choose_device(1, cuda_available=False, environment={"SLURM_JOB_ID": "7"})
    allowed = {"SLURM_JOB_ID": "7", "PSIGRAPH_ALLOW_CPU": "1"}
    assert choose_device(1, cuda_available=False, environment=allowed) == "cpu"
    with pytest.raises(DeviceError):
        choose_device(1, cuda_available=False, environment={**allowed, "PSIGRAPH_ALLOW_CPU": "0"})


@pytest.mark.parametrize(
    ("device", "capability", "expected"),
    [
        ("cpu", None, "float32"),
        ("cuda", (6, 1), "float16"),
        ("cuda", (7, 5), "float16"),
        ("cuda", (8, 0), "bfloat16"),
        ("cuda", (8, 6), "bfloat16"),
        ("cuda", (9, 0), "bfloat16"),
    ],
)
def test_auto_precision(device: str, capability: tuple[int, int] | None, expected: str) -> None:
    assert choose_precision("auto", device, capability) == expected


def test_chosen_precision() -> None:
    for name in ("float32", "float64", "bfloat16"):
        assert choose_precision(name, "cpu", None) == name
    assert choose_precision("float16", "cuda", (9, 0)) == "float16"
    with pytest.raises(DeviceError, match="float16 needs a GPU"):
        choose_precision("float16", "cpu", None)
    with pytest.raises(DeviceError, match="unknown precision 'half'"):
        choose_precision("half", "cpu", None)


def test_float16_is_lightnings_mode_with_a_gradient_scaler() -> None:
    from lightning.pytorch.plugins.precision import MixedPrecision

    assert lightning_precision("float16") == "16-mixed" and lightning_precision("bfloat16") == "bf16-mixed"
    assert MixedPrecision("16-mixed", "cuda").scaler is not None
    assert MixedPrecision("bf16-mixed", "cuda").scaler is None


FAULTS = """
import resource, sys

from psigraph.training.device import keep_freed_memory

if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit(3)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    blocks = [b"x" * (3 * 2**20 + k) for k in range(12)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_freed_memory_is_kept_for_the_next_step() -> None:
    """The page faults of 20 rounds are about those of one."""
    found = {}
    for mode in ("keep", "give back"):
        run = subprocess.run([sys.executable, "-c", FAULTS, mode], capture_output=True, text=True)
        if run.returncode == 3:
            pytest.skip("the C library has no mallopt")
        found[mode] = int(run.stdout)
    assert found["keep"] < found["give back"] / 5

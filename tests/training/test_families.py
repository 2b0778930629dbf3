"""Families do not need each other's models, which the workflow relies on when it names the code of a run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from psigraph.config import ARCHITECTURES
from psigraph.training.families import FAMILIES, family_of

LOADED = """
import json, sys
from importlib import import_module

import_module("psigraph.training.engine")
for name in sys.argv[1:]:
    import_module(name)
json.dump([name for name in sys.modules if name.startswith("psigraph.")], sys.stdout)
"""


@pytest.mark.parametrize("family", FAMILIES)
def test_training_loads_no_model_or_task_of_another_family(repository: Path, family: str) -> None:
    own, others = (
        {
            f"psigraph.models.{item.model.partition(':')[0]}"
            for item in ARCHITECTURES.values()
            if (item.family == family) == is_own
        }
        for is_own in (True, False)
    )
    modules = [FAMILIES[family].partition(":")[0], *own]
    command = [sys.executable, "-c", LOADED, *modules]
    loaded = set(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    tasks = {f"psigraph.training.{name}{part}" for name in FAMILIES if name != family for part in ("", "_family")}
    assert own <= loaded and not loaded & (others | tasks)
    foreign = {
        "delta": ("psigraph.models.regional", "psigraph.models.affinity"),
        "regional": ("psigraph.models.kernels.pair_sum", "psigraph.models.affinity"),
        "affinity": ("psigraph.models.regional", "psigraph.models.kernels.pair_sum"),
    }[family]
    harmless = {"psigraph.models.regional", "psigraph.models.regional.inputs"}
    assert not any(name.startswith(foreign) for name in loaded - harmless), "but for a dataclass"


def test_every_architecture_has_a_family_that_trains() -> None:
    assert {settings.family for settings in ARCHITECTURES.values()} == set(FAMILIES)
    with pytest.raises(ValueError, match="unknown family 'rna'; known: delta, regional, affinity"):
        family_of("rna")

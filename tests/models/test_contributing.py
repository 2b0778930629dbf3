"""CONTRIBUTING.md adds an eighth architecture; here it is added as the text says, and keeps what every model keeps."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from regional_suite import RegionalSuite
from synthetic_molecules import TARGETS

import psigraph.models
from psigraph.config import ARCHITECTURES, architectures
from psigraph.config.experiments import Experiment
from psigraph.models import build_model

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
_SECTION = TEXT.split("## A new architecture\n")[1].split("\n## ")[0]
_BLOCKS = [textwrap.dedent(block) for block in re.findall(r"```(?:python|yaml)\n(.*?)\n *```", _SECTION, re.DOTALL)]
SETTINGS, LINE, MODEL, TESTS, CONFIG = _BLOCKS


def _run(code: str, names: dict[str, Any]) -> dict[str, Any]:
    exec(compile(code, "CONTRIBUTING.md", "exec"), names)
    return names


@pytest.fixture(autouse=True, scope="module")
def _added(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Add settings, entry and module for the tests of this file."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "region_sum.py").write_text(MODEL, encoding="utf-8")
    names = _run(SETTINGS, dict(vars(architectures)))
    entry = _run(f"entry = {{{LINE.strip()}}}", names)["entry"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psigraph.models, "__path__", [*psigraph.models.__path__, str(folder)])
        for name, settings in entry.items():
            patch.setitem(ARCHITECTURES, name, settings)
        yield


TestRegionSum: type[RegionalSuite] = _run(TESTS, {"__name__": __name__})["TestRegionSum"]


def test_it_needs_few_lines() -> None:
    assert len(TESTS.splitlines()) <= 8 and len(MODEL.splitlines()) <= 40


def test_the_entry_in_the_configuration_names_it() -> None:
    (experiment,) = yaml.safe_load(CONFIG)["experiments"].values()
    checked = Experiment.model_validate(experiment)
    assert set(checked.architectures) == {"pamnet", "region_sum"}
    model = build_model(
        "region_sum", checked.architectures["region_sum"], inputs=TestRegionSum.settings.inputs(TARGETS)
    )
    assert model.hyperparameters["dim"] == 48
    assert (model.__doc__ or "").strip() and (ARCHITECTURES["region_sum"].__doc__ or "").strip()

"""Everything registered is configured, documented and tested, and refuses what it does not know."""

import inspect
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from psigraph.config import ARCHITECTURES
from psigraph.graphs.molecule_settings import MoleculeSettings
from psigraph.models import build_model, model_class
from psigraph.models.affinity.base import AffinityModel
from psigraph.models.base import DeltaModel
from psigraph.models.regional.base import RegionalModel
from psigraph.models.regional.inputs import Target

TARGETS = (Target("gap", "eV", False), Target("u0", "eV", True))
#: By family: the class of its models, and what its graphs give them.
FAMILIES: dict[str, tuple[type, dict[str, Any]]] = {
    "delta": (DeltaModel, {"cutoff": 12.0, "length_scale": 0.1}),
    "regional": (RegionalModel, {"inputs": MoleculeSettings().inputs(TARGETS)}),
    "affinity": (AffinityModel, {"targets": 1}),
}
SUITES = {"delta": "ModelSuite", "regional": "RegionalSuite", "affinity": "AffinitySuite"}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architecture_is_documented_and_takes_its_settings(name: str) -> None:
    settings, found = ARCHITECTURES[name], model_class(name)
    assert (found.__doc__ or "").strip() and (settings.__doc__ or "").strip()
    for key, field in settings.model_fields.items():
        assert field.description, key
    family, graphs = FAMILIES[settings.family]
    model = build_model(name, **graphs)
    assert isinstance(model, family)
    assert model.hyperparameters == settings().model_dump()
    module = inspect.getmodule(found)
    assert module is not None and "spec/" in (module.__doc__ or ""), "the module says what its parts follow"
    assert module.__name__ == f"psigraph.models.{name}", "one file each"


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architecture_inherits_its_familys_suite(name: str) -> None:
    suite = SUITES[ARCHITECTURES[name].family]
    text = (Path(__file__).parent / f"test_{name}.py").read_text(encoding="utf-8")
    assert f"({suite})" in text and f'architecture = "{name}"' in text


def test_settings_and_dictionaries_build_the_same_model() -> None:
    values = {"num_conv_layers": 1, "num_rbf": 3, "hidden": 4}
    by_dict = build_model("delta_coupling", values, cutoff=5.0, length_scale=0.1)
    settings = ARCHITECTURES["delta_coupling"].model_validate(values)
    by_section = build_model("delta_coupling", settings, cutoff=5.0, length_scale=0.1)
    assert by_dict.hyperparameters == by_section.hyperparameters == {**values, "field_cutoff": 50.0}


def test_a_variant_is_built_as_its_architecture() -> None:
    model = build_model("pamnet.small", {"dim": 8, "layers": 1}, **FAMILIES["regional"][1])
    assert isinstance(model, model_class("pamnet"))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'pamnets' \(did you mean 'pamnet'\?\); known: delta_coupling"):
        build_model("pamnets", **FAMILIES["regional"][1])
    with pytest.raises(ValidationError, match="layers"):
        build_model("delta_coupling", {"layers": 2}, cutoff=12.0, length_scale=0.1)

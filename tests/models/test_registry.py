"""Everything registered is configured and documented, and refuses what it does not know."""

import inspect

import pytest
from pydantic import ValidationError

from psigraph.config import ARCHITECTURES
from psigraph.models import MODELS, build_model
from psigraph.models.base import DeltaModel


def test_models_and_settings_have_the_same_names() -> None:
    assert set(MODELS) == set(ARCHITECTURES)


@pytest.mark.parametrize("name", MODELS)
def test_registered_model_is_documented_and_takes_its_settings(name: str) -> None:
    settings = ARCHITECTURES[name]
    assert (MODELS[name].__doc__ or "").strip() and (settings.__doc__ or "").strip()
    parameters = inspect.signature(MODELS[name]).parameters
    for key, field in settings.model_fields.items():
        assert key in parameters, f"{name} has no hyperparameter {key}"
        assert field.description, key
    model = build_model(name, cutoff=12.0, length_scale=0.1)
    assert isinstance(model, DeltaModel)
    assert model.hyperparameters == settings().model_dump()
    module = inspect.getmodule(MODELS[name])
    assert module is not None and "spec/" in (module.__doc__ or ""), "the module says what its parts follow"


def test_settings_and_dictionaries_build_the_same_model() -> None:
    values = {"num_conv_layers": 1, "num_rbf": 3, "hidden": 4}
    by_dict = build_model("delta_coupling", values, cutoff=5.0, length_scale=0.1)
    settings = ARCHITECTURES["delta_coupling"].model_validate(values)
    by_section = build_model("delta_coupling", settings, cutoff=5.0, length_scale=0.1)
    assert by_dict.hyperparameters == by_section.hyperparameters == {**values, "field_cutoff": 50.0}


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown architecture 'delta'.*known: delta_coupling"):
        build_model("delta", cutoff=12.0, length_scale=0.1)
    with pytest.raises(ValidationError, match="layers"):
        build_model("delta_coupling", {"layers": 2}, cutoff=12.0, length_scale=0.1)

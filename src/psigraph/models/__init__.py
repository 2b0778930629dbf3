"""Models by name. Adding an architecture: its settings in psigraph.config.architectures, one module here."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from torch import nn

from psigraph.config import ARCHITECTURES, Section, base_architecture, did_you_mean


def build_model(architecture: str, settings: Section | Mapping[str, Any] | None = None, **graphs: Any) -> nn.Module:
    """Return a new model; `settings` are the architecture's hyperparameters, `graphs` what its graphs give it.

    For the family delta these are cutoff [Å], length_scale and atom_width (columns of `atomic_node_attr`), for regional
    `inputs` (`psigraph.models.regional.inputs.MoleculeInputs`), for affinity `targets` (how many). A variant
    (`pamnet.wide`) is built as its architecture.

    Raises ValueError for an unknown architecture (naming the known ones) or hyperparameter.
    """
    base = base_architecture(architecture)
    if base not in ARCHITECTURES:
        raise ValueError(
            f"unknown architecture {base!r}{did_you_mean(base, ARCHITECTURES)}; known: {', '.join(ARCHITECTURES)}"
        )
    values = settings.model_dump() if isinstance(settings, Section) else dict(settings or {})
    checked = ARCHITECTURES[base].model_validate(values).model_dump()
    model: Any = model_class(base)(**graphs, **checked)
    model.hyperparameters = checked
    return cast(nn.Module, model)


def model_class(architecture: str) -> type[nn.Module]:
    """Return the class of an architecture's models."""
    module, name = ARCHITECTURES[architecture].model.split(":")
    found: type[nn.Module] = getattr(import_module(f"psigraph.models.{module}"), name)
    return found

"""Models by name. Adding an architecture: its settings in psigraph.config, one module here, one entry in MODELS."""

from collections.abc import Callable, Mapping
from typing import Any

from psigraph.config import ARCHITECTURES, Section, did_you_mean
from psigraph.models.base import DeltaModel
from psigraph.models.delta_coupling import DeltaCoupling

#: Every architecture that `experiments.*.architectures` may name.
MODELS: dict[str, Callable[..., DeltaModel]] = {"delta_coupling": DeltaCoupling}


def build_model(
    architecture: str,
    settings: Section | Mapping[str, Any] | None = None,
    *,
    cutoff: float,
    length_scale: float,
    atom_width: int = 3,
) -> DeltaModel:
    """Return a new model; `settings` are the architecture's hyperparameters.

    cutoff [Å], length_scale and atom_width (columns of `atomic_node_attr`) are those of the graphs.

    Raises ValueError for an unknown architecture (naming the known ones) or hyperparameter.
    """
    if architecture not in MODELS:
        raise ValueError(
            f"unknown architecture {architecture!r}{did_you_mean(architecture, MODELS)}; known: {', '.join(MODELS)}"
        )
    values = settings.model_dump() if isinstance(settings, Section) else dict(settings or {})
    checked = ARCHITECTURES[architecture].model_validate(values)
    graphs = {"cutoff": cutoff, "length_scale": length_scale, "atom_width": atom_width}
    return MODELS[architecture](**graphs, **checked.model_dump())

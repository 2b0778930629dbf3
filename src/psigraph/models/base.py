"""What every model of the family `delta` has in common: its normalisation, fitted on the training set."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

#: Scales below this are no spread but rounding; the quantity is then left as it is.
_SMALLEST = 1e-8


class DeltaModel(nn.Module):
    """A model of ΔV with the normalisation of its inputs and output as buffers, so that a checkpoint carries them.

    Scalars are shifted and scaled one by one; each irrep of the field node is scaled by one number, which keeps
    equivariance. Subclasses set `hyperparameters`, use `normalised_*`, and return `to_label(output)`. `atom_width` (K)
    is the number of columns of `atomic_node_attr`; 0 is allowed.
    """

    hyperparameters: dict[str, float | int]
    u_mean: Tensor
    u_scale: Tensor
    atom_mean: Tensor
    atom_scale: Tensor
    multipole_scale: Tensor
    delta_mean: Tensor
    delta_scale: Tensor

    def __init__(self, atom_width: int = 3) -> None:
        super().__init__()
        if atom_width < 0:
            raise ValueError(f"atom_width must be at least 0, got {atom_width}")
        self.atom_width = atom_width
        for name, size in (("u", 4), ("atom", atom_width)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))
        self.register_buffer("multipole_scale", torch.ones(2))  # dipole, quadrupole
        self.register_buffer("delta_mean", torch.zeros(()))
        self.register_buffer("delta_scale", torch.ones(()))

    @torch.no_grad()
    def fit_normalisation(self, arrays: Mapping[str, Tensor]) -> None:
        """Set the normalisation from a training set without augmentation.

        arrays: u (n, 4), y (n,) [V unit], atomic_node_attr (ΣN, K), field_node_features (n, 8) [internal]. The output
        is scaled by mean and SD of y; a quantity without spread keeps the scale 1.
        """
        u, atoms, field, y = (
            torch.as_tensor(arrays[k]).to(torch.float64) for k in ("u", "atomic_node_attr", "field_node_features", "y")
        )
        for name, values in (("u", u.view(-1, 4)), ("atom", atoms), ("delta", y.view(-1))):
            if values.numel() == 0:  # atoms without features
                continue
            getattr(self, f"{name}_mean").copy_(values.mean(0))
            getattr(self, f"{name}_scale").copy_(_scale(values.std(0, correction=0)))
        dipole, quadrupole = field.view(-1, 8).split([3, 5], 1)
        rms = torch.stack([dipole.square().mean().sqrt(), quadrupole.square().mean().sqrt()])
        self.multipole_scale.copy_(_scale(rms))

    def normalised_u(self, u: Tensor) -> Tensor:
        """Return u (B, 4) with zero mean and unit spread over the training set."""
        return (u - self.u_mean) / self.u_scale

    def normalised_atoms(self, features: Tensor) -> Tensor:
        """Return features of atoms (ΣN, K), each column with zero mean and unit spread over the training set."""
        return (features - self.atom_mean) / self.atom_scale

    def normalised_multipoles(self, features: Tensor) -> Tensor:
        """Return field features (B, 8) with dipole and quadrupole of unit root mean square over the training set."""
        return features / torch.repeat_interleave(self.multipole_scale, _widths(features), output_size=8)

    def to_label(self, output: Tensor) -> Tensor:
        """Return ΔV [V unit] of a network's output (B,)."""
        return self.delta_mean + self.delta_scale * output.to(self.delta_mean.dtype)


def _scale(values: Tensor) -> Tensor:
    return torch.where(values > _SMALLEST, values, torch.ones_like(values))


def _widths(like: Tensor) -> Tensor:
    return torch.tensor([3, 5], device=like.device)

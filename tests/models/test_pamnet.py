"""PAMNet keeps what every model keeps, and equals its unfactorised form and the formulas of its basis."""

import copy
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from common import ExactProducts, agree, both_precisions
from plain_pamnet import plain
from regional_suite import RegionalSuite
from scipy.integrate import simpson
from scipy.special import eval_legendre, spherical_jn
from synthetic_molecules import SETTINGS, TARGETS, batch, molecules, smallest

from psigraph.graphs.hops import longest_bond
from psigraph.models import build_model
from psigraph.models.pamnet import LOCAL_CUTOFF, fuse, triplets
from psigraph.models.regional.inputs import MoleculeInputs
from psigraph.models.spherical import BesselBasis, SphericalBasis, bessel_zeros, envelope, legendre, spherical_bessel


class TestPAMNet(RegionalSuite):
    architecture = "pamnet"
    hyperparameters = {"dim": 16, "layers": 2}


def test_size_of_the_published_model() -> None:
    """3.58 million parameters with 128 channels, 6 layers and one target (PERFORMANCE.md measured that model)."""
    inputs = MoleculeInputs(TARGETS[:1], (), (), (), (), cutoff=5.0, region_cutoff=15.0)
    model = build_model("pamnet", {"dim": 128, "layers": 6}, inputs=inputs)
    assert sum(parameter.numel() for parameter in model.parameters()) / 1e6 == pytest.approx(3.58, abs=0.005)


class TestUnfactorised(ExactProducts):
    def both(self, dtype: torch.dtype) -> tuple[Any, Any]:
        torch.manual_seed(0)
        model: Any = build_model("pamnet", {"dim": 12, "layers": 2}, inputs=SETTINGS.inputs(TARGETS)).to(dtype)
        for layer in (*model.global_layers, *model.local_layers):
            torch.nn.init.normal_(layer.update.value.weight, std=0.1)  # 0 at first, which would hide a difference
        return model, plain(copy.deepcopy(model))

    @both_precisions
    def test_outputs(self, dtype: torch.dtype) -> None:
        model, slow = self.both(dtype)
        data = batch([*molecules(), *smallest()], dtype)
        first, second = model(data).labels, slow(data)
        assert first.std() > 0.01
        agree(first, second, 1.0)

    def test_gradients(self) -> None:
        """Of what both forms have in common: the positions and the embeddings."""
        model, slow = self.both(torch.float64)
        found = []
        for form, shared in ((model, model), (slow, slow.model)):
            data = batch([*molecules(), *smallest()])
            data.pos_atoms.requires_grad_(True)
            out = form(data) if form is slow else form(data).labels
            out.square().sum().backward()
            found.append([data.pos_atoms.grad, shared.elements.weight.grad, shared.embed_angles.weight.grad])
        for first, second in zip(*found, strict=True):
            assert first.abs().max() > 0
            torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-10 * float(first.abs().max()))


def test_triplets_are_all_pairs_of_bonds_that_meet() -> None:
    data = batch([*molecules(), *smallest()])
    bonds, count = data.bonds.tolist(), len(data.bonds)
    edges = [*map(tuple, bonds), *((j, i) for i, j in bonds)]
    found = triplets(data.bonds, len(data.z_atoms))
    wanted = {
        (k, j, i)
        for j in range(len(data.z_atoms))
        for i, k in permutations([a if b == j else b for a, b in bonds if j in (a, b)], 2)
    }
    rows = list(zip(*(part.tolist() for part in found), strict=True))
    assert len(rows) == len(set(rows)) == len(wanted) > count
    assert {(*edges[other], edges[two][1]) for other, two, _ in rows} == wanted
    for other, two, one in rows:
        (k, j), (i, centre) = edges[other], edges[one]
        assert centre == j and i != k and edges[two] == (j, i)


def test_fusion_is_the_softmax_over_both_layers() -> None:
    outputs, scores = torch.randn(2, 5, 3), torch.randn(2, 5, 3)
    weights = np.exp(scores.numpy()) / np.exp(scores.numpy()).sum(0)
    np.testing.assert_allclose(fuse(tuple(outputs), tuple(scores)), (weights * outputs.numpy()).sum(0), rtol=1e-5)


def test_bonds_are_well_within_the_local_range() -> None:
    """Bonds end by their elements, not by the basis, which must not be near 0 at the longest of them."""
    longest = longest_bond(np.array([1, 6, 7, 8, 9, 15, 16, 17, 35, 53]))
    assert longest < 0.8 * LOCAL_CUTOFF
    assert envelope(torch.tensor(longest / LOCAL_CUTOFF)) > 0.1


def test_bessel_functions() -> None:
    """Against SciPy, from 0 to beyond the largest zero, on both sides of where the method changes."""
    orders, count = 7, 6
    zeros = bessel_zeros(orders, count)
    for order in range(orders):
        np.testing.assert_allclose(spherical_jn(order, zeros[order]), 0, atol=1e-13)
        grid = np.linspace(0.1, zeros[order, -1] + 0.5, 2000)
        assert (np.diff(np.sign(spherical_jn(order, grid))) != 0).sum() == count, "no zero is left out"
    x = np.concatenate([[0, 1e-12, 1e-4, 1e-2], np.linspace(0.05, 32, 800), np.arange(1, 12) - 1e-9])
    found = spherical_bessel(torch.from_numpy(x).view(-1, 1, 1).repeat(1, orders, 1))[:, :, 0].numpy()
    for order in range(orders):
        np.testing.assert_allclose(found[:, order], spherical_jn(order, x), rtol=1e-9, atol=1e-13)


def test_legendre_polynomials() -> None:
    x = np.linspace(-1, 1, 41)
    found = legendre(torch.from_numpy(x), 7).numpy()
    for order in range(7):
        np.testing.assert_allclose(found[:, order], eval_legendre(order, x), atol=1e-14)


def test_spherical_basis() -> None:
    """Its functions are of norm 1 over the ball without the envelope, and vanish smoothly at its border."""
    basis = SphericalBasis(7, 6, 5.0)

    x = torch.linspace(0, 0.99, 4001, dtype=torch.float64)
    density = (basis.radial(5 * x) / envelope(x)[:, None, None]) ** 2 * (x**2)[:, None, None]
    norms = simpson(density.numpy(), x=x.numpy(), axis=0) * 4 * np.pi / (2 * np.arange(7)[:, None] + 1)
    np.testing.assert_allclose(norms, 1, atol=1e-3)
    r = torch.tensor([0.0, 1e-6, 2.0, 5.0 - 1e-4, 5.0, 6.0], dtype=torch.float64, requires_grad=True)
    values = basis.radial(r).flatten(1)
    slopes = torch.autograd.grad(values.square().sum(), r)[0]
    assert torch.isfinite(values).all() and torch.isfinite(slopes).all()
    assert values[0].abs().max() > 0.1 and values[3].abs().max() < 1e-10 and not values[4:].any()
    angular = basis(torch.ones(1, 7, 6), torch.tensor([0.3]))
    assert angular.shape == (1, basis.width)
    np.testing.assert_allclose(angular.view(7, 6)[:, 0], eval_legendre(np.arange(7), 0.3), rtol=1e-5)


def test_distance_basis() -> None:
    """sin(nπ r/c)/(r/c) times the envelope, finite at 0, with value, slope and curvature 0 at the cutoff."""
    basis = BesselBasis(16, 4.0).double()
    r = torch.linspace(0.1, 3.9, 30, dtype=torch.float64)
    x = r[:, None] / 4
    wanted = torch.sin(torch.pi * torch.arange(1, 17) * x) / x * envelope(x)
    torch.testing.assert_close(basis(r), wanted)
    edge = torch.tensor([0.0, 4.0, 4.5], dtype=torch.float64, requires_grad=True)
    values = basis(edge)
    (slopes,) = torch.autograd.grad(values.sum(), edge, create_graph=True)
    (curvatures,) = torch.autograd.grad(slopes.sum(), edge)
    assert torch.isfinite(values).all() and torch.isfinite(slopes).all()
    assert not values[2].any()
    for found in (values[1].abs().max(), slopes[1].abs(), curvatures[1].abs()):
        assert float(found.detach()) < 1e-9

"""The parts all regional models share, each against the slow obvious way."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from regional_suite import RegionalSuite
from synthetic_molecules import SETTINGS, TARGETS, batch, molecules, smallest

from psigraph.graphs.molecule_settings import MoleculeSettings
from psigraph.models import build_model
from psigraph.models.regional.normalisation import Baseline, MoleculeStatistics, Moments, count_elements
from psigraph.models.regional.objectives import (
    MOST_REGIONS,
    TEMPERATURE,
    Contrast,
    QuantumHeads,
    column_errors,
    view,
)
from psigraph.models.regional.pooling import centres, inner_bonds, pool_mean
from psigraph.models.regional.readout import Readout

DATA = batch([*molecules(), *smallest()])


class Suite(RegionalSuite):
    __test__ = False
    architecture = "pamnet"
    hyperparameters = {"dim": 8, "layers": 1}


def test_moments_are_those_of_all_known_values() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 4)) * [1, 10, 0, 1] + [5, -1e6, 3, 0]
    values[rng.random((50, 4)) < 0.3] = np.nan
    values[:, 3] = np.nan
    found = Moments.of(values[:7]).joined(Moments.of(values[7:8])).joined(Moments.of(values[8:]))
    np.testing.assert_allclose(found.mean[:3], np.nanmean(values[:, :3], axis=0), rtol=1e-13)
    np.testing.assert_allclose(found.scale[:2], np.nanstd(values[:, :2], axis=0), rtol=1e-9)
    assert found.scale[2] == found.scale[3] == 1 and found.mean[3] == 0, "no spread, nothing known"


def test_statistics_do_not_depend_on_how_molecules_are_split() -> None:
    samples = [*molecules(), *molecules(1)]
    whole = MoleculeStatistics.of([batch(samples)])
    parts = MoleculeStatistics.of([batch(samples[:5]), batch(samples[5:])])
    for name, moments in whole.columns.items():
        np.testing.assert_allclose(moments.mean, parts.columns[name].mean, atol=1e-12)
        np.testing.assert_allclose(moments.scale, parts.columns[name].scale, rtol=1e-10)
    np.testing.assert_array_equal(whole.counts, parts.counts)
    z = np.concatenate([sample.structure.z for sample in samples])
    assert whole.elements == sorted(set(z.tolist())) and whole.known.tolist() == [1, 1, 1]
    np.testing.assert_array_equal(whole.targets([2]).y[:, 0], whole.y[:, 2])
    with pytest.raises(ValueError, match="no molecules"):
        MoleculeStatistics.of([])


def test_baseline() -> None:
    """Extensive targets: least squares on the counts; others: the mean; what is missing has no say."""
    rng = np.random.default_rng(1)
    counts = np.zeros((40, 10), dtype=int)
    counts[:, [1, 6, 8]] = rng.integers(0, 9, size=(40, 3))
    y = np.stack(
        [counts @ np.arange(10.0) + 0.01 * rng.normal(size=40), rng.normal(size=40) + 7, np.full(40, np.nan)], 1
    )
    y[3, 0] = y[4, 1] = np.nan
    fit = Baseline.fit(counts, y, [True, False, True])
    rows = np.isfinite(y[:, 0])
    wanted = np.linalg.lstsq(counts[rows][:, [1, 6, 8]], y[rows, 0], rcond=None)[0]
    np.testing.assert_allclose(fit.composition[[1, 6, 8], 0], wanted, atol=1e-5)
    assert np.count_nonzero(fit.composition) == 3 and fit.composition[:, 1:].any() is np.False_
    np.testing.assert_allclose(fit.constant, [0, np.nanmean(y[:, 1]), 0])
    rest = y[rows, 0] - counts[rows] @ fit.composition[:, 0]
    np.testing.assert_allclose(fit.scale, [rest.std(), np.nanstd(y[:, 1]), 1], rtol=1e-6)


def test_element_counts() -> None:
    counts = count_elements(DATA)
    for molecule, element in product(range(DATA.num_graphs), (1, 6, 8)):
        rows = DATA.atoms_batch == molecule
        assert counts[molecule, element] == (DATA.z_atoms[rows] == element).sum()


@pytest.mark.parametrize("regions", ["bonded", "k_hop", "patches"])
def test_inner_bonds(regions: str) -> None:
    settings = MoleculeSettings(cutoff=4.0, regions=regions)
    data = batch([*molecules(), *smallest()], settings=settings)
    inside = {tuple(row) for row in data.members.tolist()}
    wanted = {
        (region, bond)
        for bond, (i, j) in enumerate(data.bonds.tolist())
        for region in range(len(data.region_features))
        if (region, i) in inside and (region, j) in inside
    }
    region, bond = inner_bonds(data.bonds, data.members, len(data.z_atoms))
    found = list(zip(region.tolist(), bond.tolist(), strict=True))
    assert len(found) == len(set(found)) and set(found) == wanted
    empty = inner_bonds(data.bonds[:0], data.members, len(data.z_atoms))
    assert not len(empty[0]) and not len(empty[1])


def test_centres_are_the_mean_of_core_atoms() -> None:
    settings = MoleculeSettings(cutoff=4.0, regions="patches", patch_atoms=3)
    data = batch(molecules(), settings=settings)
    found = centres(data.pos_atoms, data.members, data.core, len(data.region_features))
    for region in range(len(found)):
        atoms = data.members[(data.members[:, 0] == region) & data.core, 1]
        torch.testing.assert_close(found[region], data.pos_atoms[atoms].mean(0))


def test_readout_sums_or_averages() -> None:
    torch.manual_seed(0)
    head = Readout(4, [True, False]).double()
    torch.nn.init.normal_(head.layers[2].weight)
    states, molecule = torch.randn(7, 4, dtype=torch.float64), torch.tensor([0, 0, 0, 2, 2, 2, 2])
    found, each = head(states, molecule, 3), head.layers(states)
    torch.testing.assert_close(found[2], torch.stack([each[3:, 0].sum(), each[3:, 1].mean()]))
    assert not found[1].any(), "a molecule without states"


def test_quantum_of_regions() -> None:
    """Own columns, means over atoms and inner bonds, and the molecule's, region by region."""
    suite = Suite()
    model, _ = suite.fitted()
    model = model.double()
    found = model.quantum_of_regions(DATA)
    assert found.shape == (len(DATA.region_features), model.quantum_width)
    pick = {
        name: model._normalised(DATA, name)[:, getattr(model, f"{name}_quantum")]
        for name in ("regions", "atoms", "bonds", "molecules")
    }
    for region in range(0, len(found), 5):
        atoms = DATA.members[DATA.members[:, 0] == region, 1]
        bonds = [b for b, ends in enumerate(DATA.bonds.tolist()) if set(ends) <= set(atoms.tolist())]
        mean = pick["bonds"][bonds].mean(0) if bonds else torch.zeros(pick["bonds"].shape[1])
        parts = [pick["regions"][region], pick["atoms"][atoms].mean(0), mean]
        torch.testing.assert_close(found[region], torch.cat([*parts, pick["molecules"][DATA.regions_batch[region]]]))
    without = suite.untrained(quantum=False)
    assert without.quantum_width == 0 and without.quantum_of_regions(DATA).shape[1] == 0


def test_a_feature_far_from_all_of_training_counts_as_ten_standard_deviations() -> None:
    model, _ = Suite().fitted()
    model = model.double()
    near, far = (replace(DATA, bond_features=DATA.bond_features + shift * model.bonds_scale) for shift in (50, 5000))
    assert torch.equal(model.bond_inputs(near), model.bond_inputs(far))
    assert model.bond_inputs(far)[torch.isfinite(DATA.bond_features)].eq(10).all()


def test_bfloat16_stays_close() -> None:
    suite = Suite()
    model, data = suite.model(torch.float32), suite.batch(molecules(), torch.float32)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        rough = model(data).labels
    exact = suite.predict(model, molecules(), torch.float32)
    assert ((rough - exact).abs() < 0.2 * model.target_scale).all() and not torch.equal(rough, exact)


def test_errors_of_columns_leave_out_what_is_not_known() -> None:
    predicted, wanted = torch.randn(6, 2), torch.randn(6, 2)
    wanted[0, 0] = wanted[3:, 1] = torch.nan
    found = column_errors(predicted, wanted, torch.tensor([0, 0, 0, 1, 1, 1]), 2)
    errors = (predicted - wanted).abs()
    torch.testing.assert_close(found[0], torch.stack([errors[1:3, 0].mean(), errors[:3, 1].mean()]))
    torch.testing.assert_close(found[1, 0], errors[3:, 0].mean())
    assert found[1, 1].isnan()


def test_a_view_jitters_and_hides() -> None:
    data = batch([*molecules(), *molecules(1), *molecules(2)])
    seen = view(data, torch.Generator().manual_seed(0))
    again = view(data, torch.Generator().manual_seed(0))
    torch.testing.assert_close(seen.pos_atoms, again.pos_atoms, rtol=0, atol=0)
    assert 0 < (seen.pos_atoms - data.pos_atoms).abs().max() < 0.5
    hidden = seen.z_atoms == 0
    assert 0.05 < hidden.double().mean() < 0.3
    assert seen.atom_features[hidden].isnan().all() and torch.equal(seen.z_atoms[~hidden], data.z_atoms[~hidden])
    for name in ("bond_features", "region_features"):
        assert 0 < getattr(seen, name).isnan().all(1).double().mean() < 0.4, name


def test_contrast_is_infonce() -> None:
    """Against the formula, region by region."""
    model, _ = Suite().fitted()
    model = model.double().eval()
    model.objective = "contrast"
    heads = model.objective_heads["contrast"]
    assert isinstance(heads, Contrast) and len(DATA.region_features) < MOST_REGIONS
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        views = [heads.projection(model.encode(view(DATA, generator)).regions) for _ in range(2)]
        a, b = (states / states.norm(dim=1, keepdim=True) for states in views)
        out = model(DATA)
    similar = (a @ b.T / TEMPERATURE).exp()
    losses = [
        -(similar[r, r] / similar[r].sum()).log() / 2 - (similar[r, r] / similar[:, r].sum()).log() / 2
        for r in range(len(a))
    ]
    torch.testing.assert_close(out.objective, pool_mean(torch.stack(losses), DATA.regions_batch, DATA.num_graphs))
    hits = (similar.argmax(1) == torch.arange(len(a))).double()
    torch.testing.assert_close(out.accuracy, pool_mean(hits, DATA.regions_batch, DATA.num_graphs))
    torch.testing.assert_close(out.measures[:, 1], torch.full_like(out.accuracy, 1 / len(a)))


def test_the_quantum_objective_needs_quantum_columns() -> None:
    inputs = MoleculeSettings().inputs(TARGETS)
    with pytest.raises(ValueError, match="name a level in the graphset"):
        QuantumHeads(8, inputs)
    with pytest.raises(ValueError, match="unknown objective 'quantums'"):
        Suite().untrained().objective = "quantums"


def test_normalisation_of_other_graphs_is_refused() -> None:
    model = build_model("pamnet", {"dim": 8, "layers": 1}, inputs=MoleculeSettings().inputs(TARGETS))
    with pytest.raises(ValueError, match="feature columns of atoms"):
        model.fit_normalisation(MoleculeStatistics.of([DATA]))
    one = build_model("pamnet", {"dim": 8, "layers": 1}, inputs=SETTINGS.inputs(TARGETS[:1]))
    with pytest.raises(ValueError, match="3 columns of targets, the model predicts 1"):
        one.fit_normalisation(MoleculeStatistics.of([DATA]))

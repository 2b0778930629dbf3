"""An augmented sample equals the graph built from the augmented raw structure."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from e3nn import o3

from psigraph.fields import EDGE_IRREPS
from psigraph.graphs.augment import Augmentation, rotation_matrices
from psigraph.graphs.data import dimer_data
from psigraph.graphs.dataset import CachedDimerDataset
from psigraph.graphs.features import Features
from psigraph.graphs.graph import graph_from_structure
from psigraph.graphs.neighbours import pair_distances

TENSORS = [
    "pos_atoms",
    "field_node_features",
    "edge_index_atoms",
    "edge_attr_atoms",
    "edge_attr_sh",
    "u",
    "y",
    "z_atoms",
]


def assert_equal(a, b, tolerance, fields=TENSORS):
    for name in fields:
        assert a[name].shape == b[name].shape and a[name].dtype == b[name].dtype, name
        torch.testing.assert_close(a[name], b[name], atol=tolerance, rtol=0, msg=lambda text, n=name: f"{n}: {text}")


@pytest.fixture
def built(tmp_path, maker, hf_settings):
    """Four structures with their features, the shard of them, and a function that builds a sample from the raw ones."""
    from psigraph.graphs.build import build_shard

    structures = [maker.structure(f"d{i}", n) for i, n in enumerate([5, 8, 2, 6])]
    store = maker.structures_file(tmp_path / "d.h5", structures)
    quantum, results = maker.quantum_files(tmp_path, store)
    path = tmp_path / "graphs.h5"
    build_shard({"d": store}, {"d": quantum}, path, tmp_path / "graphs.csv", hf_settings)

    def from_raw(i, rotation, noise):
        """The sample of structure i after adding `noise` [Å] and turning positions, moments and origin."""
        s, r = structures[i], results[i]
        positions = (s.positions + noise) @ rotation.T
        separation, theta = plain[i].u[0, 0].item() * 10, plain[i].u[0, 1].item()
        moved = replace(s, positions=positions, separation=separation, theta=theta)
        features = Features(
            atoms=r.values["mulliken_spd"],
            dipole=rotation @ r.values["dipole"][0],
            quadrupole=rotation @ r.values["quadrupole"][0] @ rotation.T,
            origin=positions.mean(axis=0),
            baseline=float(r.values["interaction_energy"]),
            participation_ratio=float(r.values["participation_ratio"]),
        )
        graph = graph_from_structure(moved, hf_settings, features, unit="kcal/mol")
        names = ["z_atoms", "pos_atoms", "atomic_node_attr", "field_node_features", "u", "y", "y_true_vref", "pairs"]
        return dimer_data(
            **{name: getattr(graph, name) for name in names},
            R_internal_val=graph.R_internal_val,
            distances=pair_distances(graph.pos_atoms, graph.pairs),
            index=i,
            graph_id=graph.id,
            dtype=torch.float64,
            spherical_harmonics=True,
        )

    plain = CachedDimerDataset([path], dtype=torch.float64)
    return path, from_raw, plain


@pytest.mark.parametrize("rotate, jitter", [(False, 0.0), (True, 0.0), (False, 0.3), (True, 0.3)])
def test_augmented_sample_equals_the_graph_of_the_augmented_structure(built, rotate, jitter):
    path, from_raw, plain = built
    dataset = CachedDimerDataset(
        [path], rotate=rotate, jitter=jitter, seed=7, dtype=torch.float64, spherical_harmonics=True
    )
    dataset.set_epoch(3)
    draws = Augmentation(rotate, jitter * 0.1, 7)
    changed = False
    for i in range(len(dataset)):
        n = int(dataset.n_atoms[i])
        rotation = draws.rotations([i], 3)[0] if rotate else np.eye(3)
        noise = draws.noise([i], [n], 3) * 10
        expected = from_raw(i, rotation, noise)
        assert_equal(dataset[i], expected, 1e-12)
        changed |= dataset[i].edge_index_atoms.shape != plain[i].edge_index_atoms.shape
    assert changed == (jitter > 0)  # noise of 0.3 Å moves pairs across the cutoff, or the test shows nothing


def test_harmonics_turn_with_e3nn_wigner_matrices(built):
    path, _, _ = built
    options = {"dtype": torch.float64, "spherical_harmonics": True}
    plain, turned = CachedDimerDataset([path], **options), CachedDimerDataset([path], rotate=True, seed=1, **options)
    rotation = torch.from_numpy(Augmentation(True, 0, 1).rotations([1], 0)[0])
    wigner = o3.Irreps(EDGE_IRREPS).D_from_matrix(rotation)
    torch.testing.assert_close(turned[1].edge_attr_sh, plain[1].edge_attr_sh @ wigner.T, atol=1e-5, rtol=0)
    field = o3.Irreps("1x1o+1x2e").D_from_matrix(rotation)
    expected = plain[1].field_node_features @ field.T
    torch.testing.assert_close(turned[1].field_node_features, expected, atol=1e-6, rtol=0)
    assert not torch.allclose(turned[1].pos_atoms, plain[1].pos_atoms, atol=1e-2)


def test_harmonics_belong_to_the_directed_edges(built):
    path, _, _ = built
    sample = CachedDimerDataset([path], dtype=torch.float64, spherical_harmonics=True)[1]
    source, target = sample.edge_index_atoms
    vectors = sample.pos_atoms[target] - sample.pos_atoms[source]
    expected = o3.spherical_harmonics(o3.Irreps(EDGE_IRREPS), vectors, normalize=True, normalization="component")
    torch.testing.assert_close(sample.edge_attr_sh, expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(sample.edge_attr_atoms[:, 0], vectors.norm(dim=1), atol=1e-15, rtol=0)


def test_a_batch_is_augmented_as_its_samples_are(built):
    path, _, _ = built
    dataset = CachedDimerDataset([path], rotate=True, jitter=0.2, seed=5, spherical_harmonics=True)
    parts = dataset.batch([3, 0, 2]).to_pyg(spherical_harmonics=True).to_data_list()
    for single, batched in zip([dataset[i] for i in (3, 0, 2)], parts, strict=True):
        for name in TENSORS:
            assert torch.equal(single[name], batched[name]), name


def test_random_numbers_follow_seed_epoch_and_index_alone(built):
    path, _, _ = built
    full = CachedDimerDataset([path], rotate=True, jitter=0.1, seed=2)
    part = CachedDimerDataset([path], indices=[3, 1], rotate=True, jitter=0.1, seed=2)
    assert torch.equal(full[1].pos_atoms, part[1].pos_atoms) and torch.equal(full[3].pos_atoms, part[0].pos_atoms)
    first = full[1].pos_atoms
    full.set_epoch(1)
    assert full.epoch == 1 and not torch.equal(full[1].pos_atoms, first)
    full.set_epoch(0)
    assert torch.equal(full[1].pos_atoms, first)
    other = CachedDimerDataset([path], rotate=True, jitter=0.1, seed=3)
    assert not torch.equal(other[1].pos_atoms, first)


def test_rotation_does_not_change_with_jitter():
    still, moving = Augmentation(True, 0.0, 4), Augmentation(True, 0.5, 4)
    np.testing.assert_array_equal(still.rotations([3, 8], 2), moving.rotations([3, 8], 2))


def test_rotations_are_proper_and_uniform():
    matrices = rotation_matrices(np.random.default_rng(0).normal(size=(20000, 4)))
    np.testing.assert_allclose(
        matrices @ matrices.transpose(0, 2, 1), np.broadcast_to(np.eye(3), matrices.shape), atol=1e-14
    )
    np.testing.assert_allclose(np.linalg.det(matrices), 1)
    # of the uniform distribution: <R_ab> = 0, <R_ab²> = 1/3, <(tr R)²> = 1
    np.testing.assert_allclose(matrices.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose((matrices**2).mean(axis=0), 1 / 3, atol=0.02)
    assert abs((np.trace(matrices, axis1=1, axis2=2) ** 2).mean() - 1) < 0.04


def test_noise_has_the_standard_deviation_asked_for():
    noise = Augmentation(False, 0.02, 0).noise(range(50), [100] * 50, 0)
    assert noise.shape == (5000, 3) and abs(noise.std() - 0.02) < 5e-4 and abs(noise.mean()) < 5e-4


@pytest.mark.parametrize("jitter", [-0.1, float("nan"), float("inf")])
def test_jitter_that_cannot_be_is_refused(jitter):
    with pytest.raises(ValueError, match="jitter must be finite and at least 0"):
        Augmentation(False, jitter)

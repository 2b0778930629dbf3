"""One row of a raw folder, followed to every number of its sample; and both datasets give the same sample."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from psigraph.config import RawFolder
from psigraph.fields import DATA_FIELDS
from psigraph.graphs.build import build_shard
from psigraph.graphs.dataset import CachedDimerDataset
from psigraph.graphs.raw_dataset import DimerDataset
from psigraph.graphs.settings import GraphSettings
from psigraph.structures.build import build_structures

WATER = [("O", 0.0, 0.0, 0.1), ("H", 0.0, 0.8, -0.5), ("H", 0.0, -0.8, -0.5)]
FLUORIDE = [("F", 1.0, 2.0, 3.0), ("H", 1.0, 2.0, 3.9)]
DEBYE = 0.20819434  # e·Å, the note's figure
QUADRUPOLE = np.array([[1.0, 0.5, -0.2], [0.5, 2.0, 0.3], [-0.2, 0.3, 6.0]])  # Debye·Å, with a trace of 9


def write_pdb(path, atoms):
    lines = [
        f"HETATM{n:5d}  {element:<3s} MOL A   1    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          {element:>2s}\n"
        for n, (element, x, y, z) in enumerate(atoms, start=1)
    ]
    path.write_text("".join(lines) + "END\n")


def write_folder(folder, table="csv"):
    """Three dimers: one in full, one with populations of s and p only, one of a row that cannot be read."""
    folder.mkdir()
    write_pdb(folder / "water.pdb", WATER)
    write_pdb(folder / "fluoride.pdb", FLUORIDE)
    spd = np.arange(15).reshape(5, 3) / 10
    np.savez(folder / "one.npz", mulliken_spd=spd, dipole=[1.0, -2.0, 3.0], quadrupole=QUADRUPOLE)
    np.savez(folder / "two.npz", mulliken_spd=spd[:, :2], dipole=[0, 0, 1.0], quadrupole=np.zeros((3, 3)))
    names = {"pdb_a": "water.pdb", "pdb_b": "fluoride.pdb"}
    rows = [
        {
            "id": "one",
            **names,
            "npz": "one.npz",
            "R_nm": 0.35,
            "theta_deg": 30,
            "V0_meV": -150.0,
            "PR": 1.5,
            "Vref_meV": -175,
        },
        {
            "id": "two",
            **names,
            "npz": "two.npz",
            "R_nm": 1.4,
            "theta_deg": 90,
            "V0_meV": -2.0,
            "PR": 2,
            "Vref_meV": -1.5,
        },
        {"id": "bad", **names, "pdb_b": "none.pdb", "R_nm": 0.5, "V0_meV": 1, "Vref_meV": 1},
    ]
    frame = pd.DataFrame(rows)
    frame.to_csv(folder / "meta.csv", index=False) if table == "csv" else frame.to_excel(
        folder / "meta.xlsx", index=False
    )
    return folder


@pytest.fixture(params=["csv", "xlsx"])
def raw_folder(request, tmp_path):
    return write_folder(tmp_path / "raw", request.param)


def build(folder, tmp_path, placement="stacked", **changes):
    """The shard of a raw folder, by the workflow's stages."""
    dataset = RawFolder(source="raw_folder", path=folder, placement=placement)
    build_structures(dataset, "raw", tmp_path / "raw.h5", tmp_path / "rejected.csv")
    settings = GraphSettings(**{"level": "given", "v0": "column", "unit": "meV", "cutoff": 12.0, **changes})
    build_shard({"raw": tmp_path / "raw.h5"}, {}, tmp_path / "shard.h5", tmp_path / "skipped.csv", settings)
    return tmp_path / "shard.h5"


def assert_first_row(sample):
    """Every number of the sample of row `one`, worked out by hand from the raw files."""
    water = np.array([atom[1:] for atom in WATER])
    fluoride = np.array([atom[1:] for atom in FLUORIDE])
    centred = [water - water.mean(axis=0), fluoride - fluoride.mean(axis=0) + [0, 0, 3.5]]  # 0.35 nm = 3.5 Å along +z
    positions = np.concatenate(centred) * 0.1
    expected_edges = [(i, j) for i in range(5) for j in range(i + 1, 5)]  # all within 12 Å
    edges = expected_edges + [(j, i) for i, j in expected_edges]
    d = np.array([1.0, -2.0, 3.0]) * DEBYE * 0.1
    q = (QUADRUPOLE - np.eye(3) * 3.0) * DEBYE * 0.01  # trace 9 removed
    components = [
        math.sqrt(2) * q[0, 2],
        math.sqrt(2) * q[0, 1],
        (2 * q[1, 1] - q[0, 0] - q[2, 2]) / math.sqrt(6),
        math.sqrt(2) * q[1, 2],
        (q[2, 2] - q[0, 0]) / math.sqrt(2),
    ]
    exact = {"rtol": 0, "atol": 1e-12}
    assert sample.graph_id == "one" and sample.index.tolist() == [0] and sample.num_nodes == 5
    assert sample.z_atoms.tolist() == [8, 1, 1, 9, 1]
    np.testing.assert_allclose(sample.pos_atoms, positions, **exact)
    np.testing.assert_allclose(sample.atomic_node_attr, np.arange(15).reshape(5, 3) / 10, **exact)
    np.testing.assert_allclose(sample.field_node_features, [[*d, *components]], rtol=1e-7)
    np.testing.assert_allclose(sample.u, [[0.35, math.pi / 6, -150.0, 1.5]], **exact)
    assert sample.y.tolist() == [-25.0] and sample.y_true_vref.tolist() == [-175.0]
    np.testing.assert_allclose(sample.R_internal_val, [0.35], **exact)
    assert sorted(map(tuple, sample.edge_index_atoms.T.tolist())) == sorted(edges)
    for (i, j), distance in zip(sample.edge_index_atoms.T.tolist(), sample.edge_attr_atoms[:, 0].tolist(), strict=True):
        assert abs(distance - np.linalg.norm(positions[i] - positions[j])) < 1e-12


def test_one_row_by_both_routes(raw_folder, tmp_path):
    on_the_fly = DimerDataset(raw_folder, placement="stacked", dtype=torch.float64)
    cached = CachedDimerDataset([build(raw_folder, tmp_path)], dtype=torch.float64)
    assert on_the_fly.unit == cached.unit == "meV"
    assert_first_row(on_the_fly[0])
    assert_first_row(cached[0])


@pytest.mark.parametrize("placement", ["stacked", "as_given"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_datasets_give_the_same_bits(tmp_path, placement, dtype):
    folder = write_folder(tmp_path / "raw")
    if placement == "as_given":
        write_pdb(folder / "fluoride.pdb", [("F", 1.0, 2.0, 4.0), ("H", 1.0, 2.0, 4.9)])
    options = {"dtype": dtype, "spherical_harmonics": True}
    on_the_fly = DimerDataset(folder, placement=placement, cutoff=3.0, **options)
    cached = CachedDimerDataset([build(folder, tmp_path, placement, cutoff=3.0)], **options)
    assert len(on_the_fly) == len(cached) > 0
    for a, b in zip([on_the_fly[i] for i in range(len(cached))], [cached[i] for i in range(len(cached))], strict=True):
        for name in ["num_nodes", *(field.name for field in DATA_FIELDS)]:
            same = torch.equal(a[name], b[name]) if torch.is_tensor(a[name]) else a[name] == b[name]
            assert same, name
    assert on_the_fly[0].edge_index_atoms.shape[1] < 20  # the cutoff leaves pairs out


def test_d_is_zero_where_the_raw_data_has_none(tmp_path):
    dataset = DimerDataset(write_folder(tmp_path / "raw"), dtype=torch.float64)
    np.testing.assert_allclose(dataset[1].atomic_node_attr[:, :2], np.arange(15).reshape(5, 3)[:, :2] / 10)
    assert not dataset[1].atomic_node_attr[:, 2].any()


def test_rows_that_become_no_graph_are_listed(tmp_path, caplog):
    folder = write_folder(tmp_path / "raw")
    (folder / "one.npz").unlink()
    table = pd.read_csv(folder / "meta.csv", dtype=str, keep_default_na=False)
    table.loc[0, "npz"] = ""
    table.to_csv(folder / "meta.csv", index=False)
    dataset = DimerDataset(folder)
    assert [item.id for item in dataset.skipped] == ["bad", "one"] and len(dataset) == 1
    assert "none.pdb" in dataset.skipped[0].reason and "level: given" in dataset.skipped[1].reason
    assert "left out one" in caplog.text and dataset[0].graph_id == "two"
    assert len(DimerDataset(folder, level=None)) == 2


def test_augmentation_on_the_fly_is_the_one_of_the_shards(tmp_path):
    folder = write_folder(tmp_path / "raw")
    on_the_fly = DimerDataset(folder, cutoff=3.0, augment=True, jitter=0.2, seed=6)
    options = {"rotate": True, "jitter": 0.2, "seed": 6}
    cached = CachedDimerDataset([build(folder, tmp_path, cutoff=3.0)], **options)
    plain = DimerDataset(folder, cutoff=3.0)
    for epoch in (0, 4):
        on_the_fly.set_epoch(epoch)
        cached.set_epoch(epoch)
        for i in range(2):
            for name in ("pos_atoms", "field_node_features", "edge_index_atoms", "edge_attr_atoms"):
                assert torch.equal(on_the_fly[i][name], cached[i][name]), name
            assert not torch.allclose(on_the_fly[i].pos_atoms, plain[i].pos_atoms, atol=1e-3)


def test_unit_may_be_given_where_the_columns_do_not_say_it(tmp_path):
    folder = write_folder(tmp_path / "raw")
    text = (folder / "meta.csv").read_text().replace("V0_meV", "V0").replace("Vref_meV", "Vref")
    (folder / "meta.csv").write_text(text)
    assert DimerDataset(folder, unit="kJ/mol").unit == "kJ/mol"
    with pytest.raises(ValueError, match="no unit for column 'Vref'"):
        DimerDataset(folder)

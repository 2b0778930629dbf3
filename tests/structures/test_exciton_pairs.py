import gzip

import numpy as np
import pytest

from psigraph.config import ExcitonPairs
from psigraph.structures import exciton_pairs
from psigraph.structures.build import load_dataset
from psigraph.structures.sources import StructureError

HEADER = "chromophore,aggregate,frame,i,j,J_exc,intact\n"


def dataset(path, **settings) -> ExcitonPairs:
    return ExcitonPairs(source="exciton_pairs", path=path, **settings)


@pytest.fixture
def folder(tmp_path):
    """Three hydrogen pairs of `a`, one of `b`."""

    def write(rows: str, n_a: int = 3) -> None:
        (tmp_path / "pairs.csv.gz").write_bytes(gzip.compress((HEADER + rows).encode()))
        x = np.zeros((n_a, 4, 3), dtype=np.float32)
        x[:, :, 0] = [0, 0.74, 5, 5.74]
        x[:, 2:, 1] = np.arange(n_a)[:, None]
        np.savez(tmp_path / "geom.npz", Z_a=np.ones(4, np.uint8), R_a=x, Z_b=np.full(2, 2, np.uint8), R_b=x[:1, ::2])

    write("a,Dim,0,1,2,-5.5,True\nb,Dim,0,1,2,7.25,True\na,Tri,3,1,2,1.5,False\na,Tri,3,1,3,2.5,True\n")
    return tmp_path, write


def test_pairs_and_geometries_are_matched_by_chromophore(folder):
    result = exciton_pairs.read(dataset(folder[0]))
    assert result.unit == "meV"
    assert [(s.id, s.v_ref, s.v_0, s.group) for s in result.structures] == [
        ("a-Dim-0-1-2", 5.5, 0.0, "a-Dim-0"),
        ("b-Dim-0-1-2", 7.25, 0.0, "b-Dim-0"),
        ("a-Tri-3-1-3", 2.5, 0.0, "a-Tri-3"),
    ]
    assert [s.positions[-1, 1] for s in result.structures] == [0.0, 0.0, 2.0]
    assert result.structures[0].fragment.tolist() == [0, 0, 1, 1]
    assert [(r.row, r.id) for r in result.rejected] == [("3", "a-Tri-3-1-2")]
    assert result.rejected[0].reason == "the source marks this pair as not intact"


def test_files_that_do_not_go_together_are_errors(folder, tmp_path):
    path, write = folder
    write("a,Dim,0,1,2,1.0,True\n")
    with pytest.raises(StructureError, match=r"geom\.npz: R_a holds 3 pairs, pairs\.csv\.gz lists 1"):
        exciton_pairs.read(dataset(path))
    write("c,Dim,0,1,2,1.0,True\n")
    with pytest.raises(StructureError, match=r"geom\.npz: cannot be read, or does not match pairs\.csv\.gz .*Z_c"):
        exciton_pairs.read(dataset(path))
    (path / "pairs.csv.gz").write_bytes(b"not gzip")
    with pytest.raises(StructureError, match=r"pairs\.csv\.gz: cannot be read as compressed CSV"):
        exciton_pairs.read(dataset(path))
    (path / "pairs.csv.gz").write_bytes(gzip.compress(b"chromophore,frame\n"))
    with pytest.raises(StructureError, match=r"pairs\.csv\.gz: lacks the columns aggregate, i, j, J_exc, intact"):
        exciton_pairs.read(dataset(path))


def test_the_research_data(shared_data):
    path = shared_data / "exciton_dimers"
    if not path.is_dir():
        pytest.skip("no exciton_dimers in the research data")
    result = exciton_pairs.read(dataset(path))
    assert len(result.structures) == 10_000 and len({s.group for s in result.structures}) == 3000
    assert len({s.id for s in result.structures}) == 10_000
    assert result.structures[0].v_ref == pytest.approx(5.0911447) and min(s.v_ref for s in result.structures) >= 0
    assert {s.n_atoms for s in result.structures} == {60, 64}


def test_a_small_part_is_spread_over_chromophores_aggregates_and_frames(shared_data):
    path = shared_data / "exciton_dimers"
    if not path.is_dir():
        pytest.skip("no exciton_dimers in the research data")
    result = load_dataset(dataset(path, max_structures=300), "excitons")
    frames = [s.group.rsplit("-", 1) for s in result.structures]
    kinds = [f[0] for f in frames]
    assert len(frames) == 300 == len({s.group for s in result.structures})
    assert {k: kinds.count(k) for k in set(kinds)} == {
        f"{c}-{a}": 50 for c in ("tetracene", "perylene") for a in ("Dim", "Tri", "Tet")
    }
    first = sorted(int(f[1]) for f in frames if f[0] == "perylene-Tet")
    assert first[0] < 15 and first[-1] > 480

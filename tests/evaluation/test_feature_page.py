"""The page on features: series, outliers by hand, names of what failed, and one self-contained page."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from psigraph.evaluation.feature_figures import BINS, bin_edges
from psigraph.evaluation.feature_outliers import FEWEST, outliers_of, robust_z
from psigraph.evaluation.feature_page import Source, feature_sources, outlier_table, section, write_feature_page
from psigraph.evaluation.feature_series import EVERYTHING, Series, series_of
from psigraph.evaluation.report_tables import render
from psigraph.quantum.model import Result
from psigraph.quantum.store import read_quantum, write_quantum
from psigraph.quantum.table import FEATURES
from psigraph.structures.model import Structure
from psigraph.structures.store import read_structures, write_structures

LEVEL = {
    "method": "hf",
    "basis": "sto-3g",
    "scf_type": "df",
    "e_convergence": 1e-8,
    "d_convergence": 1e-8,
    "max_iterations": 100,
}
NAMES = ("energy", "energy_components", "dipole", "participation_ratio", "mulliken_charge", "bonds", "bond_length")
N = 30  # dimers of water-like molecules: O H H O H H


def result(rng: np.random.Generator) -> Result:
    values = {
        "energy": rng.normal(size=3),
        "energy_components": rng.normal(size=(3, 4)),
        "dipole": rng.normal(size=(3, 3)),
        "participation_ratio": np.array(1 + rng.random()),
        "mulliken_charge": np.tile([-0.8, 0.4, 0.4], 2) + rng.normal(size=6) * 0.01,
        "bonds": np.array([[0, 1], [0, 2], [3, 4], [3, 5]], dtype=np.int32),
        "bond_length": 0.96 + rng.normal(size=4) * 0.01,
    }
    return Result("ok", values=values, attempts=("dimer: as given: converged",), wall_time=2.0, n_atoms=6, n_systems=3)


@pytest.fixture(scope="module")
def results() -> list[Result]:
    """One failed dimer, one with further attempts, one with an odd charge and one with an odd bond."""
    rng = np.random.default_rng(0)
    made = [result(rng) for _ in range(N)]
    made[3] = Result("convergence", "A: no rung converged", wall_time=9.0, n_atoms=6, n_systems=3)
    made[4] = replace(made[4], attempts=("dimer: as given: no convergence", "dimer: damping: converged", "A: as given"))
    charges = made[5].values["mulliken_charge"].copy()
    charges[4] = 3.5
    lengths = made[6].values["bond_length"].copy()
    lengths[3] = 2.0
    made[5] = replace(made[5], values={**made[5].values, "mulliken_charge": charges})
    made[6] = replace(
        made[6], values={**made[6].values, "bond_length": lengths, "participation_ratio": np.array(np.nan)}
    )
    return made


@pytest.fixture(scope="module")
def source(results: list[Result], tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("features")
    rng = np.random.default_rng(1)
    structures = [
        Structure(
            id=f"water <{i}>",
            z=np.array([8, 1, 1, 8, 1, 1]),
            positions=rng.normal(size=(6, 3)),
            fragment=np.array([0, 0, 0, 1, 1, 1], dtype=np.uint8),
            v_ref=0.0,
            group="g",
        )
        for i in range(N)
    ]
    write_structures(folder / "s.h5", structures, unit="kcal/mol", settings={})
    digest = read_structures(folder / "s.h5").digest
    files = []
    for batch in range(2):
        rows = range(batch, N, 2)
        files.append(folder / f"{batch}.h5")
        write_quantum(
            files[-1],
            ids=[structures[i].id for i in rows],
            index=rows,
            results=[results[i] for i in rows],
            names=NAMES,
            level=LEVEL,
            structures_digest=digest,
        )
    return Source("water at small", "Made up.", folder / "s.h5", files)


def all_series(source: Source, scope: str) -> dict[str, Series]:
    found = series_of(read_quantum(source.files), read_structures(source.structures), scope)
    return {item.name: item for item in found}


def test_components_and_norms(source: Source, results: list[Result]) -> None:
    series = all_series(source, "system")
    components = [f"energy_components[{i}]" for i in range(4)]
    assert list(series) == ["energy", *components, "norm of dipole"]
    ok = [r for r in results if r.ok]
    np.testing.assert_allclose(series["energy"].values, [r.values["energy"][0] for r in ok])
    np.testing.assert_allclose(series["norm of dipole"].values, [np.linalg.norm(r.values["dipole"][0]) for r in ok])
    assert 3 not in series["energy"].structure and len(series["energy"].structure) == N - 1
    assert set(series["energy"].label) == {EVERYTHING}


def test_atoms_have_their_element_and_place(source: Source, results: list[Result]) -> None:
    charge = all_series(source, "atom")["mulliken_charge"]
    assert len(charge.values) == 6 * (N - 1)
    row = np.flatnonzero((charge.structure == 5) & (charge.place == 4))
    assert charge.values[row].tolist() == [3.5] and charge.label[row].tolist() == ["H"]
    assert charge.label[:6].tolist() == ["O", "H", "H", "O", "H", "H"]


def test_missing_values_are_counted_and_indices_left_out(source: Source) -> None:
    ratio = all_series(source, "structure")["participation_ratio"]
    assert ratio.missing == 1 and len(ratio.values) == N - 2 and 6 not in ratio.structure
    assert list(all_series(source, "bond")) == ["bond_length"]


def test_robust_z_by_hand() -> None:
    values = np.concatenate([np.arange(-10.0, 11.0), [100.0]])
    median = 0.5
    mad = np.median(np.abs(values - median))
    np.testing.assert_allclose(robust_z(values), (values - median) / (1.4826 * mad))
    mostly_equal = np.concatenate([np.zeros(30), [1.0, 3.0]])
    np.testing.assert_allclose(robust_z(mostly_equal), mostly_equal / (1.2533 * 4 / 32))
    assert not robust_z(np.full(50, 7.0)).any() and not robust_z(np.append(np.zeros(50), 2e-6)).any(), "rounding"
    assert not robust_z(np.append(np.zeros(FEWEST - 2), 1e6)).any(), "too few to say"


def test_robust_z_of_a_normal_distribution_has_unit_spread() -> None:
    z = robust_z(np.random.default_rng(0).normal(3.0, 5.0, size=100_000))
    assert np.std(z) == pytest.approx(1.0, abs=0.02)


def test_outliers_are_found_within_their_element(source: Source) -> None:
    (found,) = outliers_of(all_series(source, "atom")["mulliken_charge"])
    assert (found.structure, found.place, found.label, found.value) == (5, 4, "H", 3.5)
    assert found.z > 100 and found.median == pytest.approx(0.4, abs=0.01)
    (bond,) = outliers_of(all_series(source, "bond")["bond_length"])
    assert (bond.structure, bond.place) == (6, 3)


def test_labels_have_no_outliers() -> None:
    values = np.array([0.0] * 40 + [6.0])
    rows = np.arange(41)
    whole = Series(FEATURES["ring_size"], "ring_size", values, rows, rows, np.full(41, "C", dtype=object), 0)
    assert whole.discrete and outliers_of(whole) == []
    assert len(outliers_of(replace(whole, feature=FEATURES["mulliken_charge"]))) == 1


def test_bins() -> None:
    def edges(values: list[float], name: str) -> np.ndarray:
        rows = np.arange(len(values))
        return bin_edges(Series(FEATURES[name], name, np.array(values), rows, rows, rows.astype(str), 0))

    assert edges([0, 3], "ring_size").tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5]
    assert len(edges([0.0, 1.0], "energy")) == BINS + 1
    for equal in ([2.0, 2.0], [0.0, 0.0], [-5.0], [1e9, 1e9 + 1e-3]):
        around = edges(equal, "energy")
        assert around[0] < min(equal) and max(equal) < around[-1] and (np.diff(around) > 0).all()


def test_section_names_failures_attempts_and_outliers(source: Source, tmp_path: Path) -> None:
    shown = section(source, tmp_path)
    overview, failures, retried = shown["tables"][0], shown["tables"][1], shown["tables"][2]
    values = dict(map(tuple, overview.rows))
    assert (values["structures"], values["ok"], values["convergence"]) == (str(N), str(N - 1), "1")
    assert values["with attempts beyond the first"] == "1" and values["time of the slowest [s]"] == "9.00"
    assert failures.rows == [["convergence", "water <3>", "6", "A: no rung converged"]]
    assert retried.rows[0][:3] == ["water <4>", "ok", "1"] and "damping: converged" in retried.rows[0][3]
    assert shown["tables"][3].rows[0][:2] == ["water <3>", "6"], "the slowest"
    scopes = {part["heading"]: part for part in shown["scopes"]}
    assert len(scopes) == 4
    (odd_charge,) = scopes["Of atoms"]["outliers"].rows
    assert odd_charge[:4] == ["mulliken_charge", "water <5>", "H5", "3.500"]
    assert float(odd_charge[4]) == pytest.approx(0.4, abs=0.01)
    (odd_bond,) = scopes["Of bonds"]["outliers"].rows
    assert odd_bond[:4] == ["bond_length", "water <6>", "O4–H6", "2.000"]
    ranges = {row[0]: row for row in scopes["Of the whole structure, by several calculations or none"]["ranges"].rows}
    assert ranges["participation_ratio"][2:4] == [str(N - 2), "1"]


def test_no_outliers_no_table(source: Source) -> None:
    part, structures = read_quantum(source.files), read_structures(source.structures)
    assert outlier_table([[], []], part, structures) is None


def test_page_is_self_contained_and_escaped(source: Source, tmp_path: Path) -> None:
    html = render("features.html.j2", {"title": "t", "sections": [section(source, tmp_path)], "limit": "10"})
    assert html.lstrip().startswith("<!doctype html>")
    assert html.count("data:image/png;base64,") == 5
    assert not re.search(r"<script|<link|@import|url\(|src=\"(?!data:)|href=", html)
    assert "water &lt;5&gt;" in html and "water <5>" not in html


def test_sources_by_where_files_lie(tmp_path: Path) -> None:
    structures = [tmp_path / f"structures/{name}.h5" for name in ("a", "b")]
    batches = [tmp_path / f"quantum/b/hf/{batch}.h5" for batch in (10, 2)]
    found = feature_sources(structures, batches, [tmp_path / "descriptors/a.h5"], [tmp_path / "shieldings/a/hf/0.h5"])
    assert [source.heading for source in found] == ["b at hf", "Descriptors of a", "Shieldings of a at hf"]
    assert found[0].files == batches[::-1] and found[0].structures == structures[1]


def test_page_of_nothing(tmp_path: Path) -> None:
    write_feature_page([], tmp_path / "features.html")
    assert "<h2>" not in (tmp_path / "features.html").read_text(encoding="utf-8")

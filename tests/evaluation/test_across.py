"""Experiments side by side: numbers by hand, pairing by seed and dimer, which experiments stand together."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from psigraph.config import Config, load_config, validate_config
from psigraph.evaluation import report_across
from psigraph.evaluation.across import ACROSS_COLUMNS, across_table, compare_across, figures_of
from psigraph.evaluation.tables import PREDICTION_COLUMNS, EvaluationError


def run(
    folder: Path,
    experiment: str,
    seed: int,
    error: float,
    *,
    test: tuple[int, ...] = (0, 1, 2),
    dataset: str = "pairs",
    unit: str = "kcal/mol",
    architecture: str = "delta_coupling",
) -> Path:
    """Write a run on eight dimers whose test errors are all `error`; V_0 misses by 2, V_0 + mean ΔV by 0.5."""
    n = 8
    v_ref = np.arange(n, dtype=float)
    split = np.array(["test" if i in test else "train" for i in range(n)])
    v_0 = v_ref - np.where(split == "test", 2.0, 2.5)
    frame = pd.DataFrame(
        {
            "index": range(n),
            "id": [f"d{i}" for i in range(n)],
            "group": [f"g{i // 2}" for i in range(n)],
            "system": "s",
            "source": "x",
            "split": split,
            "R_angstrom": 4.0,
            "v_0": v_0,
            "delta_v": v_ref + error - v_0,
            "v_pred": v_ref + error,
            "v_ref": v_ref,
            "unit": unit,
            "experiment": experiment,
            "architecture": architecture,
            "seed": seed,
        },
        columns=list(PREDICTION_COLUMNS),
    )
    place = folder / experiment / architecture / f"seed{seed}"
    place.mkdir(parents=True)
    frame.to_csv(place / "predictions.csv", index=False)
    pd.DataFrame({"dataset": [dataset]}).to_csv(place / "metrics.csv", index=False)
    return place / "predictions.csv"


def compare(folder: Path, paths: list[Path], **baselines: str) -> pd.DataFrame:
    return compare_across(paths, baselines, output=folder / "table.csv", plots=folder / "plots")


def test_numbers_by_hand(tmp_path: Path) -> None:
    paths = [run(tmp_path, "plain", s, e) for s, e in ((0, 1.0), (1, 1.2))]
    paths += [run(tmp_path, "better", s, e) for s, e in ((0, 0.6), (1, -0.4))]
    compare(tmp_path, paths, plain="hf", better="hf")
    table = pd.read_csv(tmp_path / "table.csv")
    assert tuple(table.columns) == ACROSS_COLUMNS
    plain, better = table.to_dict("records")
    assert (plain["experiment"], better["experiment"], better["reference"]) == ("plain", "better", "plain")
    assert plain["value"] == pytest.approx(1.1) and better["value"] == pytest.approx(0.5)
    assert better["sd"] == pytest.approx(np.std([0.6, 0.4], ddof=1))
    assert (better["lowest"], better["highest"]) == pytest.approx((0.4, 0.6))
    assert plain["floor:v0"] == pytest.approx(2.0) and plain["floor:mean_delta"] == pytest.approx(0.5)
    assert np.isnan(plain["difference"]) and better["difference"] == pytest.approx(-0.6)
    assert (better["low"], better["high"]) == pytest.approx((-0.6, -0.6)), "equal in every group: no spread"
    assert (better["n_runs"], better["n_samples"], better["n_common"]) == (2, 3, 3)
    assert (tmp_path / "plots" / "pairs_kcal_per_mol.png").read_bytes()[:4] == b"\x89PNG"


def test_pairs_are_the_same_dimer_with_the_same_seed(tmp_path: Path) -> None:
    paths = [run(tmp_path, "first", 0, 1.0, test=(0, 1, 2)), run(tmp_path, "first", 1, 3.0, test=(4, 5))]
    paths += [run(tmp_path, "second", 0, 0.5, test=(1, 2, 4)), run(tmp_path, "second", 2, 9.0, test=(4, 5))]
    table = compare(tmp_path, paths, first="hf", second="hf").set_index("experiment")
    assert table.loc["second", "n_common"] == 2 and table.loc["second", "difference"] == pytest.approx(-0.5)


def test_without_overlap_there_is_no_difference(tmp_path: Path) -> None:
    paths = [run(tmp_path, "first", 0, 1.0, test=(0, 1)), run(tmp_path, "second", 0, 0.5, test=(4, 5))]
    second = compare(tmp_path, paths, first="hf", second="hf").iloc[1]
    assert second["n_common"] == 0 and np.isnan(second["difference"])


def test_a_baseline_and_an_architecture_have_their_own_reference(tmp_path: Path) -> None:
    paths = [run(tmp_path, name, 0, 1.0) for name in ("a_hf", "a_d4", "b_hf", "b_d4")]
    paths += [run(tmp_path, name, 0, 1.0, architecture="other") for name in ("a_hf", "b_hf")]
    table = compare(tmp_path, paths, a_hf="hf", b_hf="hf", a_d4="hf-d4", b_d4="hf-d4")
    rows = [tuple(row) for row in table[["baseline", "architecture", "experiment", "reference"]].to_numpy()]
    assert rows == [
        ("hf", "delta_coupling", "a_hf", "a_hf"),
        ("hf", "delta_coupling", "b_hf", "a_hf"),
        ("hf", "other", "a_hf", "a_hf"),
        ("hf", "other", "b_hf", "a_hf"),
        ("hf-d4", "delta_coupling", "a_d4", "a_d4"),
        ("hf-d4", "delta_coupling", "b_d4", "a_d4"),
    ]
    assert len(list((tmp_path / "plots").iterdir())) == 1


def test_only_what_shares_datasets_and_unit_stands_together(tmp_path: Path) -> None:
    names = {
        "a": ("x", "eV"),
        "b": ("x", "eV"),
        "c": ("y", "eV"),
        "d": ("y", "eV"),
        "e": ("z", "eV"),
        "f": ("x", "meV"),
    }
    paths = [run(tmp_path, name, 0, 1.0, dataset=dataset, unit=unit) for name, (dataset, unit) in names.items()]
    table = compare(tmp_path, paths, **dict.fromkeys(names, "hf"))
    assert table["experiment"].tolist() == ["a", "b", "c", "d"]
    assert list(figures_of(table)) == ["x_eV.png", "y_eV.png"]


def test_alone_there_is_nothing_to_compare(tmp_path: Path) -> None:
    table = compare(tmp_path, [run(tmp_path, "only", 0, 1.0)], only="hf")
    assert table.empty and not list((tmp_path / "plots").iterdir())
    assert pd.read_csv(tmp_path / "table.csv").columns.tolist() == list(ACROSS_COLUMNS)


def test_no_test_samples(tmp_path: Path) -> None:
    paths = [run(tmp_path, name, 0, 1.0, test=()) for name in ("a", "b")]
    assert compare(tmp_path, paths, a="hf", b="hf").empty


def test_an_experiment_without_baseline_is_an_error(tmp_path: Path) -> None:
    path = run(tmp_path, "a", 0, 1.0)
    with pytest.raises(EvaluationError, match="of experiment 'a', expected b"):
        compare(tmp_path, [path], b="hf")
    assert not (tmp_path / "table.csv").exists()


def test_empty_table_has_the_columns() -> None:
    assert across_table(pd.DataFrame({"dataset": [], "unit": []})).columns.tolist() == list(ACROSS_COLUMNS)


def config_of(*experiments: str, datasets: str = "pairs") -> Config:
    graphset = {"family": "delta", "datasets": [datasets], "level": None, "v0": "column"}
    return validate_config(
        {
            "datasets": {datasets: {"source": "psi4_databases", "databases": ["A24"]}},
            "graphsets": {"pairs": graphset},
            "experiments": {n: {"graphset": "pairs", "architectures": {"delta_coupling": {}}} for n in experiments},
        }
    )


def test_report_shows_figure_and_table(tmp_path: Path) -> None:
    paths = [run(tmp_path, name, s, e) for name, e in (("plain", 1.0), ("better", 0.25)) for s in (0, 1)]
    places = {"output": tmp_path / "evaluation/experiments/delta.csv", "plots": tmp_path / "plots/experiments/delta"}
    compare_across(paths, {"plain": "hf", "better": "hf"}, **places)
    shown = report_across.part(config_of("plain", "better"), tmp_path)
    assert shown is not None
    assert [image.title for image in shown["plots"]] == ["pairs_kcal_per_mol"]
    plain, better = shown["tables"][0].rows
    assert plain[:8] == ["plain", "delta_coupling", "hf", "1.00", "0", "2.00", "0.500", "–"]
    assert better[3:] == ["0.250", "0", "2.00", "0.500", "−0.750 (−0.750 … −0.750)", "3 / 2"]


def test_report_has_no_such_part_for_one_experiment_or_none_in_common(tmp_path: Path) -> None:
    assert report_across.part(config_of("only"), tmp_path) is None
    paths = [run(tmp_path, name, 0, 1.0, dataset=name) for name in ("a", "b")]
    places = {"output": tmp_path / "evaluation/experiments/delta.csv", "plots": tmp_path / "plots/experiments/delta"}
    compare_across(paths, {"a": "hf", "b": "hf"}, **places)
    assert report_across.part(config_of("a", "b"), tmp_path) is None


def test_the_ablation_compares_like_with_like(repository: Path) -> None:
    """Its experiments differ in features and V_0 alone, and no larger set lacks what a smaller one has."""
    config = load_config(repository / "configs" / "delta-ablation.yaml")
    assert len(config.experiments) == 8
    for v0 in ("hf", "hf-d4"):
        names = [n for n, e in config.experiments.items() if config.graphsets[e.graphset].v0 == v0]
        graphsets = [config.graphsets[n] for n in names]
        assert [config.experiments[n].graphset for n in names] == names and len(names) == 4
        features = [{*g.atom_features, *(["multipoles"] if g.multipoles else [])} for g in graphsets]
        assert features[0] == set() and all(a < b for a, b in pairwise(features))
        settings = {"atom_features", "multipoles", "participation"}
        assert len({g.model_dump_json(exclude=settings) for g in graphsets}) == 1
    assert len({e.model_dump_json(exclude={"graphset"}) for e in config.experiments.values()}) == 1

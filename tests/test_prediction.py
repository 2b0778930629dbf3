"""Predictions for new dimers, without Psi4 on a small trained project and with Psi4 where it is installed."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent / "evaluation"))

from small_project import MONOMERS, SmallProject, xyz

from psigraph.cli import main
from psigraph.descriptors.compute import descriptors
from psigraph.models import build_model
from psigraph.prediction import Options, PredictionError, predict, rejected_path
from psigraph.quantum.interpreter import InterpreterError, find_interpreter
from psigraph.structures.xyz_folder import read_xyz_folder
from psigraph.training.checkpoint import load_model, save_model
from psigraph.units import energy_factor


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    made = SmallProject(tmp_path_factory.mktemp("project"))
    made.compute()
    return made


@pytest.fixture(scope="module")
def zero_baseline(project: SmallProject, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Both runs' weights in checkpoints whose baseline is zero, so that XYZ files alone suffice."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return [changed(project, n, folder / f"zero{n}.pt", v0="zero") for n in range(2)]


def changed(project: SmallProject, run: int, path: Path, **graphset) -> Path:
    """Save a run's checkpoint again with other graphset settings."""
    loaded = load_model(project.checkpoint(project.runs[run]))
    save_model(path, loaded.model, {**loaded.meta, "graphset": {**loaded.meta["graphset"], **graphset}})
    return path


@pytest.fixture
def dimers(tmp_path: Path) -> Path:
    """A folder with two dimers, one file that cannot be read and one with a single molecule."""
    folder = tmp_path / "dimers"
    folder.mkdir()
    (folder / "a.xyz").write_text(xyz("water", "ammonia", 4.0))
    (folder / "b.xyz").write_text(xyz("methane", "nitrogen", 4.5))
    (folder / "broken.xyz").write_text("nothing\n")
    (folder / "single.xyz").write_text("3\n\nO 0 0 0\nH 0 0.76 0.59\nH 0 -0.76 0.59\n")
    return folder


def test_folder_gives_predictions_and_rejected_inputs(zero_baseline: list[Path], dimers: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "predictions.csv"
    table, rejected = predict(zero_baseline, dimers, output)
    written = pd.read_csv(output)
    assert written["id"].tolist() == ["a", "b"]
    np.testing.assert_allclose(written["v_ref_predicted"], written["v_0"] + written["delta_v"])
    assert (written["v_0"] == 0).all() and (written["unit"] == "kcal/mol").all()
    np.testing.assert_allclose(written["R_angstrom"], [4.0, 4.5], atol=0.15)
    assert (written["level"] == "none").all()
    listed = pd.read_csv(rejected_path(output))
    assert listed["id"].tolist() == ["broken", "single"] and (listed["stage"] == "structures").all()
    assert "1 connected component" in listed["reason"][1]
    assert len(rejected) == 2 and len(table) == 2


def test_spread_is_over_checkpoints(zero_baseline: list[Path], dimers: Path, tmp_path: Path) -> None:
    each = [predict([path], dimers, tmp_path / "one.csv")[0] for path in zero_baseline]
    both, _ = predict(zero_baseline, dimers, tmp_path / "both.csv")
    values = np.stack([table["v_ref_predicted"] for table in each])
    np.testing.assert_allclose(both["v_ref_predicted"], values.mean(axis=0))
    np.testing.assert_allclose(both["sd"], values.std(axis=0, ddof=1))
    np.testing.assert_allclose(both[["min", "max"]].to_numpy().T, [values.min(axis=0), values.max(axis=0)])
    assert (both["n_models"] == 2).all() and each[0]["sd"].isna().all()
    assert both["checkpoints"][0].split() == [table["checkpoints"][0] for table in each]
    assert (both["psigraph_version"] != "").all()


def pdb(symbols: str, positions: np.ndarray) -> str:
    """Return a PDB file of one molecule."""
    lines = [
        f"HETATM{n:5d} {symbol:<4s} MOL A   1    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          {symbol:>2s}"
        for n, (symbol, (x, y, z)) in enumerate(zip(symbols, positions, strict=True), start=1)
    ]
    return "\n".join([*lines, "END", ""])


def test_raw_folder_gives_the_same_as_the_evaluation(project: SmallProject, tmp_path: Path) -> None:
    """A dimer of the project, given anew as a pair of PDB files with its V0, gets the ΔV that the evaluation found."""
    run = project.runs[0]
    known = pd.read_csv(run.evaluation / "predictions.csv").set_index("id").loc["dimer3"]
    body = [line.split() for line in (project.root / "raw" / "dimer3.xyz").read_text().splitlines()[2:]]
    symbols, positions = "".join(words[0] for words in body), np.array([words[1:] for words in body], dtype=float)
    sizes = len(MONOMERS["nitrogen"][0])  # dimer 3 is nitrogen with nitrogen
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "a.pdb").write_text(pdb(symbols[:sizes], positions[:sizes]))
    (raw / "b.pdb").write_text(pdb(symbols[sizes:], positions[sizes:]))
    (raw / "meta.csv").write_text(f"id,pdb_a,pdb_b,V0_meV,Vref_meV\nx,a.pdb,b.pdb,{known['v_0'] * 43.36410},0\n")
    table, _ = predict([project.checkpoint(run)], raw, tmp_path / "out.csv")
    row = table.iloc[0]
    assert row["id"] == "x" and row["unit"] == "kcal/mol"
    np.testing.assert_allclose(row["v_0"], known["v_0"], rtol=1e-5)
    np.testing.assert_allclose(row["delta_v"], known["delta_v"], rtol=1e-4)
    np.testing.assert_allclose(row["R_angstrom"], known["R_angstrom"], rtol=1e-6)


def test_what_lies_outside_the_training_data_is_flagged(zero_baseline: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "inside.xyz").write_text(xyz("water", "ammonia", 4.5))
    (folder / "far.xyz").write_text(xyz("water", "ammonia", 20.0))
    (folder / "ion.xyz").write_text(
        "4\ncharge=1,0 multiplicity=1,1\nNa 0 0 0\nO 4.5 0 0.12\nH 4.5 0.76 -0.47\nH 4.5 -0.76 -0.47\n"
    )
    table = predict(zero_baseline, folder, tmp_path / "out.csv", Options(fragment_a=None))[0].set_index("id")
    flags = ["outside_elements", "outside_charges", "outside_size", "outside_R"]
    assert not table.loc["inside", flags].any() and table.loc["inside", "warnings"] == ""
    assert table.loc["far", flags].tolist() == [False, False, False, True]
    assert table.loc["far", "warnings"].startswith("R 20.")
    assert table.loc["ion", "outside_elements"] and table.loc["ion", "outside_charges"]
    assert "elements not in training: Na" in table.loc["ion", "warnings"]
    assert "charges +0 and +1 not in training" in table.loc["ion", "warnings"]


def test_fragment_a_divides_a_complex_that_bonds_do_not(zero_baseline: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "close.xyz"
    path.write_text("4\n\nH 0 0 0\nF 0 0 0.92\nH 0 0 1.9\nF 0 0 2.82\n")
    with pytest.raises(PredictionError, match="1 connected component"):
        predict(zero_baseline, path, tmp_path / "out.csv")
    table, _ = predict(zero_baseline, path, tmp_path / "out.csv", Options(fragment_a="1-2"))
    assert table["id"].tolist() == ["close"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cutoff": 5.0}, "their cutoff is 6.0 and 5.0"),
        ({"unit": "meV"}, "their unit is 'kcal/mol' and 'meV'"),
        ({"level": "given"}, "their level is None and 'given'"),
        ({"atom_features": [["formal_charge", 3]]}, "their atom_features is [['mulliken_spd', 3]] and"),
        ({"multipoles": False}, "their multipoles is True and False"),
    ],
)
def test_checkpoints_that_disagree_are_both_named(
    project: SmallProject, zero_baseline: list[Path], dimers: Path, tmp_path: Path, change: dict, words: str
) -> None:
    other = changed(project, 0, tmp_path / "other.pt", **{"v0": "zero", **change})
    with pytest.raises(PredictionError) as error:
        predict([zero_baseline[0], other], dimers, tmp_path / "out.csv")
    assert words in str(error.value)
    assert str(zero_baseline[0]) in str(error.value) and str(other) in str(error.value)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.xyz", None, "no such file or folder"),
        ("dimer.pdb", "ATOM\n", "read from a .xyz file"),
        ("broken.xyz", "x\n", "no prediction for any of 1 inputs: broken: broken.xyz: line 1 'x' is not the number"),
        (
            "radical.xyz",
            "4\n\nO 0 0 0\nH 0 0 1\nO 0 0 5\nH 0 0 6\n",
            "9 electrons, an odd number, cannot have 0 unpaired",
        ),
    ],
)
def test_unusable_input_leaves_no_output(
    zero_baseline: list[Path], tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(PredictionError, match=message):
        predict(zero_baseline, path, tmp_path / "out.csv")
    assert sorted(tmp_path.iterdir()) == before


def test_missing_baseline_is_a_reason(project: SmallProject, dimers: Path, tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match=r"a: no V0 in the raw data \(v0: column\)"):
        predict([project.checkpoint(project.runs[0])], dimers, tmp_path / "out.csv")


def test_command_line(
    zero_baseline: list[Path], dimers: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    output = tmp_path / "out.csv"
    arguments = ["predict", "--output", str(output), "--checkpoint", *map(str, zero_baseline), str(dimers)]
    with caplog.at_level("INFO"):
        assert main(arguments) == 0
    assert "2 predicted, 2 rejected" in caplog.text and output.exists()


def test_pt_of_something_else_is_refused(dimers: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pt")
    arguments = ["predict", "--checkpoint", str(tmp_path / "other.pt"), "--output", str(tmp_path / "out.csv")]
    assert main([*arguments, str(dimers)]) == 1
    assert "other.pt: not a psigraph checkpoint" in caplog.text
    assert not (tmp_path / "out.csv").exists()


LEVEL = {
    "method": "hf",
    "basis": "sto-3g",
    "scf_type": "df",
    "e_convergence": 1e-8,
    "d_convergence": 1e-8,
    "max_iterations": 100,
}


@pytest.fixture
def new_dimers(tmp_path: Path) -> Path:
    """A folder with two dimers, where there is a Psi4 to compute them."""
    try:
        find_interpreter()
    except InterpreterError as error:
        pytest.skip(f"no Psi4: {error}")
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "hf2.xyz").write_text(xyz("hydrogen_fluoride", "hydrogen_fluoride", 3.5))
    (folder / "n2hf.xyz").write_text(xyz("nitrogen", "hydrogen_fluoride", 4.0))
    return folder


def test_with_psi4(project: SmallProject, new_dimers: Path, tmp_path: Path) -> None:
    path = changed(project, 0, tmp_path / "hf.pt", v0="hf", level=LEVEL, level_name="small")
    options = Options(store=tmp_path / "store", threads=2)
    table, rejected = predict([path], new_dimers, tmp_path / "out.csv", options)
    assert len(table) == 2 and not rejected
    assert (table["v_0"].abs() > 1e-3).all() and (table["v_0"].abs() < 20).all()
    assert '"basis":"sto-3g"' in table["level"][0]
    kept = sorted(p.stat().st_mtime_ns for p in (tmp_path / "store").rglob("*") if p.is_file())
    again, _ = predict([path], new_dimers, tmp_path / "again.csv", options)
    assert kept and sorted(p.stat().st_mtime_ns for p in (tmp_path / "store").rglob("*") if p.is_file()) == kept
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "out.csv").read_bytes() and len(again) == 2


def test_other_features_of_psi4_and_descriptors(project: SmallProject, new_dimers: Path, tmp_path: Path) -> None:
    """V_0 = HF-D4 and features of atoms by two programs; the difference to V_0 = HF is the D4 dispersion energy."""
    loaded = load_model(project.checkpoint(project.runs[0]))
    features = [["mulliken_charge", 1], ["hybridisation", 1]]
    graphset = {**loaded.meta["graphset"], "level": LEVEL, "level_name": "small", "atom_features": features}
    graphset |= {"multipoles": False, "v0": "hf-d4"}
    options = Options(store=tmp_path / "store")
    torch.manual_seed(0)
    model = build_model("delta_coupling", loaded.model.hyperparameters, cutoff=6.0, length_scale=0.1, atom_width=2)
    tables = {}
    for v0 in ("hf", "hf-d4"):
        path = tmp_path / f"{v0}.pt"
        inputs = {**loaded.meta["inputs"], "atom_width": 2}
        save_model(path, model, {**loaded.meta, "inputs": inputs, "graphset": {**graphset, "v0": v0}})
        tables[v0], rejected = predict([path], new_dimers, tmp_path / f"{v0}.csv", options)
        assert not rejected
    structures = read_xyz_folder(new_dimers, None).structures
    assert [s.id for s in structures] == tables["hf"]["id"].tolist()
    expected = [
        float(descriptors(s).values["dispersion_d4"]) * energy_factor("hartree", "kcal/mol") for s in structures
    ]
    assert max(expected) < -0.01
    np.testing.assert_allclose(tables["hf-d4"]["v_0"] - tables["hf"]["v_0"], expected, atol=1e-9)

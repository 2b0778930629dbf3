"""What `psigraph quantum estimate` counts, what it leaves out, and the law it takes times from."""

import re
from pathlib import Path

import numpy as np
import pytest

from psigraph.config import Config, ConfigError, validate_config
from psigraph.quantum.batches import COST_EXPONENT, COST_PREFACTOR
from psigraph.quantum.estimate import estimate
from psigraph.quantum.journal import Journals
from psigraph.quantum.levels import LevelError, normalise_level
from psigraph.quantum.model import Record, applicable, failed
from psigraph.quantum.survey import ask_psi4, plans, survey
from psigraph.quantum.system import systems_of
from psigraph.quantum.time_law import ENOUGH, SHIPPED, fit
from psigraph.stores import StoreError
from psigraph.structures.model import Structure
from psigraph.structures.store import write_structures

DEF2_SVP = {1: 5, 6: 14, 8: 14}
FEATURES = ["mulliken_spd", "dipole", "quadrupole", "interaction_energy", "participation_ratio"]


def functions(basis: str, numbers: list[int]) -> dict[int, int]:
    """The functions of def2-SVP, so that only the tests of Psi4's own counts need Psi4."""
    assert basis == "def2-svp"
    return {number: DEF2_SVP[number] for number in numbers if number in DEF2_SVP}


@pytest.fixture
def config() -> Config:
    dataset = {"source": "psi4_databases", "databases": ["A24"], "batches": 4}
    graphset = {"family": "delta", "level": "hf", "cutoff": 5.0}
    return validate_config(
        {
            "datasets": {"waters": dataset, "others": dataset, "unused": dataset},
            "levels": {"hf": {"features": FEATURES}, "large": {"basis": "def2-tzvp"}},
            "graphsets": {
                "a": {**graphset, "datasets": ["waters", "others"]},
                "b": {**graphset, "datasets": ["others"]},
                "c": {**graphset, "datasets": ["unused"], "level": None, "v0": "column"},
            },
            "experiments": {"e": {"graphset": "a", "architectures": {"delta_coupling": {}}}},
        }
    )


@pytest.fixture
def waters(water) -> list[Structure]:
    """Ten water dimers, all different."""

    def dimer(i: int) -> Structure:
        positions = np.vstack([water, water + [0, 0, 3 + 0.1 * i]])
        return Structure(id=f"w{i}", z=[8, 1, 1] * 2, positions=positions, fragment=[0, 0, 0, 1, 1, 1], v_ref=0.0)

    return [dimer(i) for i in range(10)]


@pytest.fixture
def project(tmp_path, monkeypatch, waters):
    """A working folder with the structures of `waters`; call to write other structures."""
    monkeypatch.chdir(tmp_path)

    def write(structures: list[Structure], name: str = "waters") -> None:
        write_structures(Path("results/structures") / f"{name}.h5", structures, unit="kcal/mol", settings={})

    write(waters)
    return write


def plan_of(config: Config):
    return next(plan for plan in plans(config) if plan.dataset == "waters")


def know(
    config: Config, structures: list[Structure], seconds: float = 2.0, names: tuple[str, ...] | None = None
) -> int:
    """Put successes for all systems into the store; return how many."""
    plan = plan_of(config)
    journals, count = Journals(plan.store, plan.level), 0
    for structure in structures:
        for system in systems_of(structure)[1]:
            values = {name: np.zeros(3) for name in applicable(system, names or plan.names)}
            journals.put(system.key(plan.level), Record("ok", values=values, wall_time=seconds))
            count += 1
    return count


def test_pairs_follow_from_the_graphsets(config):
    found = plans(config)
    assert [(p.dataset, p.level_name) for p in found] == [("waters", "hf"), ("others", "hf")]
    assert found[0].level == normalise_level(config.levels["hf"].identity())
    assert set(FEATURES) <= set(found[0].names) and found[0].batches == 4
    assert [p.dataset for p in plans(config, dataset="others")] == ["others"]
    assert [(p.dataset, p.level_name) for p in plans(config, "unused", "large")] == [("unused", "large")]
    for arguments, message in [
        (("water", None), "no dataset 'water' .did you mean 'waters'"),
        ((None, "hff"), "no level 'hff' .did you mean 'hf'"),
        (("unused", None), "give --dataset and --level both"),
    ]:
        with pytest.raises(ConfigError, match=message):
            plans(config, *arguments)


def test_missing_structures_name_the_command(config, project):
    with pytest.raises(StoreError, match="others.h5: no such file; make it with: snakemake --cores 1 results/struc"):
        estimate(config, dataset="others", ask=functions)
    with pytest.raises(ConfigError, match="--cores must be at least 1, got 0"):
        estimate(config, cores=0)


def test_everything_is_new_at_first(config, project):
    found = survey(plan_of(config), functions)
    assert found.n == 10 and len(found.owner) == 30 and found.new.all()
    assert (found.nbf == 48).all() and found.law is SHIPPED
    assert found.seconds.sum() == pytest.approx(30 * COST_PREFACTOR * 48**COST_EXPONENT)
    text = estimate(config, dataset="waters", cores=2, ask=functions)
    for part in (
        "waters at hf\n",
        "structures       10 in 4 batches",
        "SCF systems      30",
        "  to compute     30",
        "48 to 48, median 48",
        f"{COST_PREFACTOR:.3g} s x nbf^{COST_EXPONENT:.2f}, shipped; fewer than 20",
        "time on 2 cores",
        "in results/quantum/store, by the shapes",
    ):
        assert part in text
    assert "known already" not in text and "!" not in text


def test_time_on_cores_is_that_of_the_batches(config, project):
    """Ten equal dimers in four batches (3, 3, 2, 2): one core takes all, two take 5, four 3, forty no less."""
    dimer = 3 * COST_PREFACTOR * 48**COST_EXPONENT
    for cores, dimers in ((1, 10), (2, 5), (4, 3), (40, 3)):
        text = estimate(config, dataset="waters", cores=cores, ask=functions)
        found = float(re.search(r"time on \d+ cores? +about ([\d.]+) s", text).group(1))
        assert found == pytest.approx(dimers * dimer, rel=1e-2)
        assert float(re.search(r"longest batch +about ([\d.]+) s", text).group(1)) == pytest.approx(3 * dimer, rel=1e-2)


def test_known_and_equal_systems_are_not_computed_again(config, project, waters):
    moved = [
        Structure(id=f"m{i}", z=s.z, positions=s.positions + 1.0, fragment=s.fragment, v_ref=0.0)
        for i, s in enumerate(waters[:2])
    ]
    project([*waters, *moved])
    count = know(config, waters[:4])
    found = survey(plan_of(config), functions)
    assert (found.known.sum(), found.equal.sum(), found.new.sum()) == (count, 6, 18)
    assert not found.new[found.owner < 4].any()
    words = " ".join(estimate(config, dataset="waters", ask=functions).split())
    assert "equal to others 6, computed once known already 12 to compute 18 basis" in words
    know(config, waters)
    words = " ".join(estimate(config, dataset="waters", ask=functions).split())
    assert "to compute 0 disk 0 B more" in words


def test_records_without_a_wanted_feature_are_computed_again(config, project, waters):
    know(config, waters, names=("energy", "dipole"))
    assert survey(plan_of(config), functions).new.all()


def test_known_failures(config, project, waters):
    """One of the dimer: nothing of that structure is computed. One for want of time: tried again when there is more."""
    plan = plan_of(config)
    first, second = (systems_of(s)[1][0].key(plan.level) for s in waters[:2])
    journals = Journals(plan.store, plan.level)
    journals.put(first, failed("input", "fused"))
    journals.put(second, failed("resources", "out of time", limits={"time_s": 1.0, "memory_mb": 9999}))
    found = survey(plan, functions)
    assert found.failures == 1 and found.new.sum() == 27 and not found.new[:3].any()
    text = estimate(config, dataset="waters", ask=functions)
    assert "1, 1 of them failed and are not tried again" in text
    assert "2: another system of the dimer failed" in text


def test_elements_without_a_basis_are_named(config, project, waters):
    cerium = Structure(id="ce", z=[58, 1], positions=[[0, 0, 0], [0, 0, 2.0]], fragment=[0, 0], v_ref=0.0)
    project([*waters, cerium])
    found = survey(plan_of(config), functions)
    assert found.lacking == {58: 1} and found.without.tolist() == [False] * 30 + [True] and found.new.sum() == 30
    assert "1, will fail: def2-svp lacks Ce (in 1 structure)" in estimate(config, dataset="waters", ask=functions)


def test_times_of_the_store_count(config, project, waters):
    know(config, waters[:7], seconds=7.5)
    found = survey(plan_of(config), functions)
    assert (found.law.times, found.law.largest) == (21, 48)
    assert found.law.seconds(48) == pytest.approx(7.5)
    text = estimate(config, dataset="waters", ask=functions)
    assert "fitted to 21 wall times in the store, up to nbf = 48" in text
    assert "core-hours" in text and f"{9 * 7.5 / 3600:.2g} (between" in text
    assert "by the mean of what is known" in text


def test_times_of_other_datasets_count_too(config, project, waters):
    """A dataset of which nothing is known takes the law from another one at the same level."""
    project(waters, "others")
    know(config, waters, seconds=3.0)
    methane = Structure(id="m", z=[6, 1, 1, 1, 1], positions=np.eye(5, 3) * 2, fragment=[0] * 5, v_ref=0.0)
    project([methane])
    found = survey(plan_of(config), functions)
    assert found.law.times == 30 and found.law.largest == 48 and found.new.all()
    assert found.seconds.tolist() == pytest.approx([3.0 * (34 / 48) ** COST_EXPONENT])


def test_limits_are_warned_of(config, project, waters):
    know(config, waters[:7], seconds=4000.0)
    text = estimate(config, dataset="waters", ask=functions)
    assert "! 9 systems may exceed quantum.time_limit_s = 3600 s and fail" in text
    batches = int(re.search(r"runtime_min = 120; for a cluster set datasets.waters.batches to (\d+)", text).group(1))
    assert batches >= 9 * 4000 * 1.2 / 7200


def test_law_is_found_again():
    rng = np.random.default_rng(0)
    nbf = rng.integers(30, 400, 200)
    law = fit(nbf, 3e-5 * nbf**2.7 * np.exp(rng.normal(0, 0.3, 200)))
    assert law.exponent == pytest.approx(2.7, abs=0.1) and law.factor == pytest.approx(np.exp(0.3), rel=0.1)
    assert law.seconds(nbf).sum() == pytest.approx((3e-5 * nbf**2.7).sum() * np.exp(0.3**2 / 2), rel=0.1)


def test_law_needs_enough_times():
    nbf, seconds = np.full(ENOUGH, 48), np.full(ENOUGH, 2.0)
    assert fit(nbf[1:], seconds[1:]) is SHIPPED
    law = fit(nbf, seconds)
    assert law.exponent == COST_EXPONENT, "one size says nothing about the exponent"
    assert law.seconds(48) == pytest.approx(2.0)
    assert fit(nbf, np.append(seconds[1:], 0.0)) is SHIPPED, "a time of zero is none"


def test_psi4_counts_functions_as_pyscf_does(psi4_interpreter):
    """Light and heavy elements, with core potentials; elements that the basis lacks are left out."""
    from pyscf import gto

    found = ask_psi4("def2-svp", [1, 6, 8, 16, 35, 53, 58])
    assert set(found) == {1, 6, 8, 16, 35, 53}
    for number, count in found.items():
        atom = gto.M(atom=[[number, (0, 0, 0)]], basis="def2-svp", ecp="def2-svp", spin=number % 2, verbose=0)
        assert atom.nao == count
    assert ask_psi4("6-31g*", [6]) == {6: 15}, "six Cartesian d functions"


def test_unknown_basis_is_named(psi4_interpreter):
    with pytest.raises(LevelError, match="basis 'def2-svpp' is unknown to Psi4.*similar: def2-svp"):
        ask_psi4("def2-svpp", [1])

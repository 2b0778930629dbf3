"""The ladder of SCF settings, on real systems on which plain DIIS goes round in circles."""

import pytest

from psigraph.config import Level
from psigraph.quantum.ladder import RUNGS, ConvergenceError, NotConverged, Solution, climb

#: name -> (atomic numbers, distance [Å], multiplicity); HF/def2-SVP, 100 iterations. Which later rung converges depends
#: on the rounding of the machine's BLAS.
DIATOMICS = {"MnO": ([25, 8], 1.646, 6), "CoO": ([27, 8], 1.629, 4)}


LEVEL = Level().identity()


def diatomic(name: str) -> dict:
    z, length, multiplicity = DIATOMICS[name]
    return {
        "z": z,
        "positions": [[0.0, 0.0, 0.0], [0.0, 0.0, length]],
        "multiplicities": [multiplicity, 1],
        "level": LEVEL,
        "features": ["energy"],
    }


@pytest.fixture(scope="module")
def climbed(psi4_jobs):
    return dict(zip(DIATOMICS, psi4_jobs([diatomic(name) for name in DIATOMICS]), strict=True))


@pytest.mark.parametrize("name", DIATOMICS)
def test_a_later_rung_converges_where_plain_diis_does_not(climbed, name):
    found = climbed[name]
    assert found["status"] == "ok", found
    assert len(found["attempts"]) > 1
    for attempt, expected in zip(found["attempts"], RUNGS, strict=False):
        assert attempt.startswith(f"{expected.name}: ")
    assert all("no convergence in 100 iterations" in line for line in found["attempts"][:-1])
    assert f"to {found['energy']:.8f} hartree" in found["attempts"][-1]


class Script:
    """Ends each attempt as told and keeps the options it was called with."""

    def __init__(self, *ends: Exception | Solution) -> None:
        self.ends, self.options = list(ends), []

    def __call__(self, options):
        self.options.append(dict(options))
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end


def test_no_rung_changes_level_or_thresholds():
    """All rungs fail: each was tried once, with options that steer the way to the solution and nothing else."""
    script = Script(*[NotConverged(7, 1e-3, 1e-4)] * len(RUNGS))
    lines: list[str] = []
    with pytest.raises(ConvergenceError, match=f"any of {len(RUNGS)} settings"):
        climb(script, 7, lines.append)
    end = "no convergence in 7 iterations, last energy change 1.0e-03 hartree, orbital gradient 1.0e-04"
    assert lines == [f"{rung.name}: {end}" for rung in RUNGS]
    ways = {"maxiter", "guess", "soscf", "damping_percentage", "damping_convergence", "diis_start"}
    ways |= {"soscf_start_convergence", "soscf_max_iter"}
    assert script.options[0] == {"maxiter": 7}
    assert all(set(options) <= ways and options["maxiter"] >= 7 for options in script.options)
    assert len({tuple(sorted(options.items())) for options in script.options}) == len(RUNGS)


def test_first_success_and_other_errors_end_the_climb():
    solution = Solution(-1.0, 5, None)
    assert climb(Script(NotConverged(9, 1e-3, 1e-4), solution), 9) is solution
    script = Script(RuntimeError("PSIO Error"))
    with pytest.raises(RuntimeError, match="PSIO"):
        climb(script, 9)
    assert len(script.options) == 1

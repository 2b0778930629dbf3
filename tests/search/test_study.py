"""The study of a search: what is drawn, by whom, what a killed worker leaves behind, and when a search gives up."""

import multiprocessing
from pathlib import Path
from typing import Any

import optuna
import pytest

from psigraph.config.searches import Search
from psigraph.search.study import SearchError, Study, mend

SPACE = {
    "training.lr": {"low": 1e-5, "high": 1e-3, "log": True},
    "hyperparameters.dropout": {"low": 0.0, "high": 0.4, "step": 0.1},
    "hyperparameters.layers": {"low": 1, "high": 6},
    "hyperparameters.dim": [64, 128, None],
}
GRID = {"training.lr": [1e-4, 1e-3], "hyperparameters.layers": {"low": 1, "high": 3, "step": 1}}


def search(**changes: Any) -> Search:
    return Search.model_validate({"experiment": "e", "architecture": "pamnet", "space": SPACE, "trials": 16, **changes})


def cost(values: dict[str, Any]) -> float:
    """Least at a rate of 1e-4 and few layers."""
    return abs(values["training.lr"] - 1e-4) * 1e4 + values["hyperparameters.layers"]


def run(study: Study, worker: int = 0, number: int | None = None) -> list[tuple[int, dict[str, Any]]]:
    """Draw and finish so many trials, or all that are left."""
    found = []
    while number is None or len(found) < number:
        drawn = study.draw(worker)
        if drawn is None:
            break
        study.finish(drawn, cost(drawn.values), {"value": cost(drawn.values)})
        found.append((drawn.number, drawn.values))
    return found


def test_values_are_of_the_space(tmp_path: Path) -> None:
    found = run(Study(tmp_path, search()))
    assert [number for number, _ in found] == list(range(16))
    for _, values in found:
        assert list(values) == list(SPACE)
        assert 1e-5 <= values["training.lr"] <= 1e-3 and isinstance(values["training.lr"], float)
        assert any(values["hyperparameters.dropout"] == pytest.approx(step / 10) for step in range(5))
        assert isinstance(values["hyperparameters.layers"], int) and 1 <= values["hyperparameters.layers"] <= 6
        assert values["hyperparameters.dim"] in (64, 128, None)
    assert {values["hyperparameters.dim"] for _, values in found} == {64, 128, None}
    small = sum(values["training.lr"] < 1e-4 for _, values in found)
    assert 3 <= small <= 13, "half of them on a logarithmic scale, a tenth on a linear one"


def test_seed_decides(tmp_path: Path) -> None:
    first, again, other = (run(Study(tmp_path / n, search(seed=seed))) for n, seed in (("a", 3), ("b", 3), ("c", 4)))
    assert first == again and first[0] != other[0]
    assert len({tuple(values.items()) for _, values in first}) == 16


@pytest.mark.parametrize("sampler", ["tpe", "grid"])
def test_killed_again_and_again_it_draws_the_same(tmp_path: Path, sampler: str) -> None:
    """Every trial is drawn by a process that is then killed, and finished by the next one."""
    item = search() if sampler == "tpe" else search(sampler="grid", space=GRID, trials=None)
    undisturbed = run(Study(tmp_path / "undisturbed", item))
    found = []
    while (lost := Study(tmp_path / "killed", item).draw(0)) is not None:
        assert not lost.begun
        study = Study(tmp_path / "killed", item)
        drawn = study.draw(0)
        assert drawn is not None and drawn.begun and (drawn.number, drawn.values) == (lost.number, lost.values)
        study.finish(drawn, cost(drawn.values), {})
        found.append((drawn.number, drawn.values))
    assert found == undisturbed


def test_killed_while_drawing(tmp_path: Path) -> None:
    """The trial has one value of four and no worker: whoever comes first takes it, with that value."""
    study = Study(tmp_path, search(workers=2))
    half = study.study.ask()
    rate = half.suggest_float("training.lr", 1e-5, 1e-3, log=True)
    drawn = Study(tmp_path, search(workers=2)).draw(1)
    assert drawn is not None and drawn.number == half.number and drawn.begun
    assert drawn.values["training.lr"] == rate and list(drawn.values) == list(SPACE)


def test_trials_of_a_live_worker_are_left_to_it(tmp_path: Path) -> None:
    item = search(workers=2, trials=3)
    first, second = Study(tmp_path, item), Study(tmp_path, item)
    mine, others = first.draw(0), second.draw(1)
    assert mine is not None and others is not None and (mine.number, others.number) == (0, 1)
    again = Study(tmp_path, item).draw(0)
    assert again is not None and again.begun and again.number == 0, "worker 0 was killed and came back"
    third = second.draw(1)
    assert third is not None and third.number == 1 and third.begun, "as worker 1"
    second.finish(third, 1.0, {})
    assert [number for number, _ in run(second, 1)] == [2] and second.draw(1) is None
    first.finish(again, 1.0, {})
    assert [row["number"] for row in first.rows(0)] == [0] and [row["number"] for row in first.rows(1)] == [1, 2]


def test_fewer_workers_take_over_from_more(tmp_path: Path) -> None:
    more = search(workers=3, trials=6)
    for worker in (0, 1, 2):
        assert Study(tmp_path, more).draw(worker) is not None
    alone = Study(tmp_path, search(workers=1, trials=6))
    assert [number for number, _ in run(alone)] == [0, 1, 2, 3, 4, 5]
    assert len(alone.rows(0)) == 6


def test_more_trials_go_on_after_the_first(tmp_path: Path) -> None:
    first = run(Study(tmp_path, search(trials=4)))
    more = run(Study(tmp_path, search(trials=6)))
    assert [number for number, _ in more] == [4, 5]
    assert first + more == run(Study(tmp_path / "at once", search(trials=6)))


def draw_all(folder: Path, worker: int, ready: Any) -> None:
    study = Study(folder, search(workers=3, trials=12))
    ready.wait()
    run(study, worker)


def test_processes_that_draw_at_the_same_time(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(3)
    processes = [context.Process(target=draw_all, args=(tmp_path, worker, ready)) for worker in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    study = Study(tmp_path, search(workers=3, trials=12))
    rows = [row for worker in range(3) for row in study.rows(worker)]
    assert sorted(row["number"] for row in rows) == list(range(12))
    assert len({tuple(row["values"].items()) for row in rows}) == 12


def test_grid_has_every_combination_once(tmp_path: Path) -> None:
    item = search(sampler="grid", space=GRID, trials=None, workers=2)
    studies = [Study(tmp_path, item), Study(tmp_path, item)]
    found = [pair for _ in range(3) for worker in (0, 1) for pair in run(studies[worker], worker, 1)]
    assert run(studies[0]) == []
    combinations = {(values["training.lr"], values["hyperparameters.layers"]) for _, values in found}
    assert combinations == {(lr, layers) for lr in (1e-4, 1e-3) for layers in (1, 2, 3)} and len(found) == 6
    part = run(Study(tmp_path / "part", search(sampler="grid", space=GRID, trials=4)))
    assert len({tuple(values.items()) for _, values in part}) == 4


def test_best_and_failed(tmp_path: Path) -> None:
    study = Study(tmp_path, search(trials=3))
    assert study.best() is None
    for outcome in (2.0, None, 1.0):
        drawn = study.draw(0)
        assert drawn is not None
        study.fail(drawn, "it broke") if outcome is None else study.finish(drawn, outcome, {"value": outcome})
    assert study.best() == 2
    rows = study.rows(0)
    assert [row["state"] for row in rows] == ["complete", "failed", "complete"]
    assert [row["reason"] for row in rows] == ["", "it broke", ""] and rows[2]["value"] == rows[2]["cost"] == 1.0


def fail_all(study: Study) -> None:
    while (drawn := study.draw(0)) is not None:
        study.fail(drawn, "OutOfMemoryError: no memory")


@pytest.mark.parametrize(("trials", "failures"), [(3, 3), (16, 5)])
def test_search_gives_up_where_nothing_succeeds(tmp_path: Path, trials: int, failures: int) -> None:
    study = Study(tmp_path, search(trials=trials))
    with pytest.raises(SearchError, match=f"{failures} trials have failed and none has not.*no memory"):
        fail_all(study)
    assert len(study.rows(0)) == failures


def test_one_success_keeps_a_search_going(tmp_path: Path) -> None:
    study = Study(tmp_path, search())
    run(study, number=1)
    fail_all(study)
    assert len(study.rows(0)) == 16


def test_sampler_learns_from_failures(tmp_path: Path) -> None:
    """Rates above 1e-4 fail, half of the first ten; of the 20 that TPE draws, fewer do."""
    study = Study(tmp_path, search(trials=30, space={"training.lr": SPACE["training.lr"]}))
    rates = []
    while (drawn := study.draw(0)) is not None:
        rates.append(drawn.values["training.lr"])
        study.fail(drawn, "diverged") if rates[-1] > 1e-4 else study.finish(drawn, 1.0, {})
    assert sum(rate > 1e-4 for rate in rates[10:]) <= 8, "where nothing is learned of them 15 of 20 fail"


@pytest.mark.parametrize("cut", [1, 7])
def test_line_that_a_crash_cut_short_is_dropped(tmp_path: Path, cut: int) -> None:
    study = Study(tmp_path, search())
    run(study, number=3)
    journal = tmp_path / "study.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-cut])
    again = Study(tmp_path, search())
    last = whole.rstrip(b"\n").rsplit(b"\n", 1)[0] + b"\n"
    assert journal.read_bytes().startswith(last)
    assert [number for number, _ in run(again)] == list(range(2, 16)), "the third was not told to its end"


def test_mending_changes_nothing_else(tmp_path: Path) -> None:
    mend(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []
    run(Study(tmp_path, search()), number=2)
    before = (tmp_path / "study.journal").read_bytes()
    mend(tmp_path / "study.journal")
    assert (tmp_path / "study.journal").read_bytes() == before


def test_locks_point_to_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that was left behind is released by the age of the file it points to: it must be found from anywhere."""
    monkeypatch.chdir(tmp_path)
    study = Study(Path("relative"), search())
    with study._alone():
        assert (tmp_path / "relative/drawing.lock").resolve(strict=True) == tmp_path / "relative/drawing"
    backend: Any = study.study._storage._backend  # type: ignore[attr-defined]
    backend._lock.acquire()
    assert (tmp_path / "relative/study.journal.lock").resolve(strict=True) == tmp_path / "relative/study.journal"
    backend._lock.release()


def test_nothing_is_said_of_every_trial_by_the_library(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(Study(tmp_path, search()), number=12)
    assert capfd.readouterr().err == ""
    assert optuna.logging.get_verbosity() == optuna.logging.WARNING

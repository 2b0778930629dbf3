"""What `psigraph quantum inspect` says of stores and journals."""

import numpy as np
import pytest

from psigraph.cli import main
from psigraph.quantum.inspect import Row, further_attempts, inspect
from psigraph.quantum.journal import Journals
from psigraph.quantum.levels import normalise_level
from psigraph.quantum.model import Record, Result, failed
from psigraph.quantum.store import write_quantum
from psigraph.quantum.text import aligned, duration, first_few, plural, size
from psigraph.stores import StoreError

NAMES = ("energy", "mulliken_spd", "bond_length", "bonds")


def result(n: int, seconds: float, attempts: tuple[str, ...] = ("DIIS: converged",)) -> Result:
    values = {
        "energy": np.zeros(1),
        "mulliken_spd": np.zeros((n, 3)),
        "bonds": np.zeros((n - 1, 2), int),
        "bond_length": np.ones(n - 1),
    }
    return Result("ok", values=values, attempts=attempts, wall_time=seconds, psi4_version="1.3.2", n_atoms=n)


def failure(status: str, message: str, **rest) -> Result:
    return Result(status, message, n_atoms=7, **rest)


@pytest.fixture
def batches(tmp_path, level):
    """Two batches: four successes, four failures of two classes."""
    climbed = ("DIIS: did not converge", "damping: converged")
    first = [result(3, 1.0), result(5, 30.0), result(4, 2.0, climbed), failure("input", "fused atoms")]
    second = [
        result(9, 7200.0),
        failure("convergence", "A: no end", attempts=("dimer: DIIS: converged", "A: DIIS: failed", "A: SOSCF: failed")),
        failure("input", "fused atoms"),
        failure("input", "no basis\nfor U"),
    ]
    paths = []
    for k, results in enumerate((first, second)):
        paths.append(tmp_path / "water" / "hf" / f"{k}.h5")
        index = list(range(4 * k, 4 * k + 4))
        write_quantum(
            paths[-1],
            ids=[f"w{i}" for i in index],
            index=index,
            results=results,
            names=NAMES,
            level=level,
            structures_digest="d",
        )
    return paths


def test_a_dataset_in_full(batches, level):
    """The whole text, word for word, but for the size on disk."""
    lines = inspect(batches).splitlines()
    on_disk = next(line for line in lines if "on disk" in line)
    assert on_disk == f"  on disk      {size(sum(path.stat().st_size for path in batches))}"
    lines.remove(on_disk)
    version = next(line for line in lines if "features" in line).rsplit(" ", 1)[1]
    assert (
        "\n".join(lines)
        == f"""\
{batches[0].parent}: 2 files
  format       psigraph-quantum 2
  program      Psi4 1.3.2
  level        {", ".join(f"{k} {v}" for k, v in sorted(normalise_level(level).items()))}
  features     4, of version {version}
    by system  energy
    by atom    mulliken_spd
    by bond    bonds, bond_length
  rows         49 by atom, 17 by bond
  counts       8 structures: 4 ok, 4 failed
  time         2.0 h in all; median 0.5 s, longest 2.0 h
  failed: input, 3
    2 x w3, w6
      fused atoms
    1 x w7
      no basis for U
  failed: convergence, 1
    1 x w5
      A: no end
  slowest
    w4  9 atoms  2.0 h  ok
    w1  5 atoms   30 s  ok
    w2  4 atoms    2 s  ok
    w0  3 atoms    1 s  ok
    w3  7 atoms    0 s  input
  more than one attempt: 2
    w2: ok
      DIIS: did not converge
      damping: converged
    w5: convergence
      dimer: DIIS: converged
      A: DIIS: failed
      A: SOSCF: failed"""
    )


def test_folder_of_batches_and_single_files(batches):
    assert inspect([batches[0].parent]) == inspect(batches)
    assert "4 structures: 3 ok, 1 failed" in inspect(batches[:1])


def test_stores_of_different_settings_are_told_apart(batches, tmp_path, level):
    other = tmp_path / "other.h5"
    write_quantum(
        other, ids=[], index=[], results=[], names=NAMES, level={**level, "basis": "sto-3g"}, structures_digest="d"
    )
    text = inspect([*batches, other])
    assert "basis sto-3g" in text and "0 structures: 0 ok, 0 failed" in text and "8 structures" in text


def test_journals(tmp_path, level):
    level = normalise_level(level)
    store = tmp_path / "store"
    journals = Journals(store, level)
    for i in range(3):
        values = {"energy": np.array(1.0)} | ({"mulliken_spd": np.zeros((6, 3))} if i else {})
        journals.put(f"{i + 1:064x}", Record("ok", values=values, wall_time=1.0 + i, psi4_version="1.3.2"))
    Journals(store, level).put(f"{7:064x}", failed("resources", "out of time", wall_time=60.0))
    for path in (store, journals.folder):
        text = inspect([path])
        for part in (
            f"{journals.folder}\n",
            "journals, 2 files",
            "basis def2-svp",
            "energy (3)",
            "mulliken_spd (2)",
            "4 systems: 3 ok, 1 failed",
            "failed: resources, 1\n    1 x 000000000000\n      out of time",
            "6 atoms",
            "60 s",
        ):
            assert part in text
        assert "unused" not in text
    moved = journals.folder.rename(store / "elsewhere")
    assert "unused" in inspect([moved])


def test_what_cannot_be_read_is_named(tmp_path):
    for path, message in [
        (tmp_path / "missing.h5", "missing.h5: no such file"),
        (tmp_path, "holds no journals .* and no quantum stores"),
    ]:
        with pytest.raises(StoreError, match=message):
            inspect([path])
    (tmp_path / "x.journal").write_bytes(b"nothing of the kind")
    with pytest.raises(StoreError, match="none of its 1 journals says what it holds"):
        inspect([tmp_path])


@pytest.mark.parametrize(
    ("attempts", "further"),
    [
        ((), 0),
        (("DIIS",), 0),
        (("DIIS", "damping", "SOSCF"), 2),
        (("dimer: DIIS", "A: DIIS", "B: DIIS"), 0),
        (("dimer: DIIS", "A: DIIS", "A: damping", "B: DIIS"), 1),
    ],
)
def test_attempts_beyond_the_first_of_each_system(attempts, further):
    assert further_attempts(Row("x", "ok", "", 1.0, attempts, 3)) == further


def test_command(batches, capsys, caplog, tmp_path):
    assert main(["quantum", "inspect", str(batches[0])]) == 0
    assert "4 structures: 3 ok, 1 failed" in capsys.readouterr().out
    assert main(["quantum", "inspect", str(tmp_path / "no.h5")]) == 1
    assert "no.h5: no such file; make it with" in caplog.text


def test_text():
    assert [duration(t) for t in (0, 0.456, 12.34, 119, 300, 9000, 4e6)] == [
        "0 s",
        "0.46 s",
        "12.3 s",
        "119 s",
        "5 min",
        "2.5 h",
        "1,111 h",
    ]
    assert [size(b) for b in (0, 999, 1000, 12_345, 3.2e9, 5e15)] == [
        "0 B",
        "999 B",
        "1 kB",
        "12.3 kB",
        "3.2 GB",
        "5,000 TB",
    ]
    assert first_few(["a", "b"]) == "a, b" and first_few(list("abcde")) == "a, b, c and 2 more"
    assert plural(1, "atom") == "1 atom" and plural(1000, "atom") == "1,000 atoms"
    assert aligned([("a", 1), ("bcd", 10)], " ", right=(1,)) == [" a     1", " bcd  10"] and aligned([]) == []

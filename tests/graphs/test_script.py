import json
import subprocess
import sys

import pytest

from psigraph.graphs.shards import check_shards, read_shard


@pytest.fixture
def call(tmp_path, maker, hf_settings, repository):
    """Run scripts/graphs.py on five dimers of two datasets; keyword arguments replace settings of the graphset."""
    stores = [
        maker.structures_file(tmp_path / f"{name}.h5", [maker.structure(f"{name}{i}") for i in range(n)])
        for name, n in (("one", 3), ("two", 2))
    ]
    quantum = [f"{store.stem}={path}" for store in stores for path in maker.quantum_files(tmp_path, store)[0]]

    def run(shard=0, quantum=quantum, level=maker.level, structures=stores, **changes):
        section = {"family": "delta", "datasets": ["one", "two"], "level": "hf", "cutoff": 7.0, "shards": 2, **changes}
        command = [sys.executable, str(repository / "scripts/graphs.py"), "--name", "set"]
        command += ["--settings", json.dumps(section), "--level-settings", json.dumps(level)]
        command += ["--structures", *map(str, structures), "--shard", str(shard)]
        command += ["--shards", "2"] if shard == 0 else []  # else what the entry says
        for item in quantum:
            command += ["--quantum", item]
        command += ["--output", str(tmp_path / f"out{shard}.h5"), "--skipped", str(tmp_path / f"out{shard}.csv")]
        environment = {"PYTHONPATH": str(repository / "src"), "PATH": "", "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    return run


def test_both_shards(call, tmp_path):
    results = [call(shard) for shard in (0, 1)]
    assert [r.returncode for r in results] == [0, 0], results[0].stderr
    paths = [tmp_path / "out0.h5", tmp_path / "out1.h5"]
    check_shards(paths, {"cutoff": 7.0, "unit": "kcal/mol", "v0": "hf"})
    assert read_shard(paths[0])["ids"].tolist() == ["one/one0", "one/one1"]
    assert (
        read_shard(paths[0]).attributes["graphset"] == "set" and read_shard(paths[0]).attributes["level_name"] == "hf"
    )
    assert (tmp_path / "out0.csv").read_text() == "id,source,reason\n"
    assert "2 graphs, 0 structures left out" in results[0].stderr


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"cutoff": -1}, "error: cutoff must be positive and finite, got -1"),
        ({"quantum": []}, "error: dataset one: no quantum files were given"),
        ({"structures": ["none.h5"]}, "error: none.h5: no such file; make it with"),
        ({"unit": "parsec"}, "error: unknown unit 'parsec'"),
        ({"shard": 2}, "error: shard 2 of 2: shards are counted from 0 to 1"),
        ({"structures": ["a=x.h5", "a=y.h5"]}, "error: --structures names two files for dataset 'a'"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(call, tmp_path, changes, message):
    result = call(**changes)
    assert result.returncode == 1
    lines = [line for line in result.stderr.splitlines() if " INFO " not in line]
    assert len(lines) == 1 and lines[0].startswith(message)
    assert not list(tmp_path.glob("*out*"))


def test_building_needs_no_torch(repository):
    code = (
        "import sys, psigraph.graphs.build, psigraph.graphs.split; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'e3nn', 'pandas', 'rdkit')))"
    )
    environment = {"PYTHONPATH": str(repository / "src"), "PATH": ""}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0

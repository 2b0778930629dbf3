"""Stores prove their own content: damage, another format or another version is an error with a remedy."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from psigraph.stores import Column, StoreError, read_store, write_store

REMEDY = "snakemake --cores 1 graphs"


def columns() -> dict[str, Column]:
    return {
        "positions": Column(np.arange(12.0).reshape(4, 3), "Å", "where the atoms are"),
        "ids": Column(np.array(["wäter", "b"]), ""),
        "seconds": Column(np.array([1.0, 2.0]), "s"),
    }


def write(path: Path, **changes: object) -> str:
    arguments = {
        "format": "test",
        "version": 1,
        "columns": columns(),
        "settings": {"cutoff": 5.0},
        "inputs": {"a": "1"},
    }
    return write_store(path, **{**arguments, **changes}, untracked=("seconds",))  # type: ignore[arg-type]


def read(path: Path, version: int = 1) -> object:
    return read_store(path, format="test", version=version, remedy=REMEDY)


def test_round_trip(tmp_path: Path) -> None:
    digest = write(tmp_path / "a.h5", attributes={"cutoff": 5.0})
    store = read_store(tmp_path / "a.h5", format="test", version=1, remedy=REMEDY)
    np.testing.assert_array_equal(store["positions"], columns()["positions"].values)
    assert store["ids"].tolist() == ["wäter", "b"]
    assert store.columns["positions"].unit == "Å"
    assert store.settings == {"cutoff": 5.0} and store.inputs == {"a": "1"} and store.digest == digest
    assert dict(store.attributes) == {"cutoff": 5.0}


def test_digest_is_of_content_alone(tmp_path: Path) -> None:
    first = write(tmp_path / "a.h5")
    other_times = {**columns(), "seconds": Column(np.array([3.0, 4.0]), "s")}
    assert write(tmp_path / "b.h5", columns=other_times, inputs={}) == first
    for changes in (
        {"settings": {"cutoff": 6.0}},
        {"columns": {**columns(), "ids": Column(np.array(["wäter", "c"]), "")}},
        {"columns": {**columns(), "positions": Column(columns()["positions"].values, "nm")}},
        {"columns": {**columns(), "positions": Column(columns()["positions"].values.astype("f4"), "Å")}},
    ):
        assert write(tmp_path / "c.h5", **changes) != first


@pytest.mark.parametrize("damage", ["truncated", "flipped", "text"])
def test_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.h5"
    write(path)
    body = bytearray(path.read_bytes())
    if damage == "truncated":
        body = body[: len(body) // 2]
    elif damage == "flipped":
        at = body.index(np.float64(7.0).tobytes())
        body[at] ^= 1
    else:
        body = bytearray(b"not HDF5")
    path.write_bytes(body)
    with pytest.raises(StoreError) as caught:
        read(path)
    assert str(path) in str(caught.value) and REMEDY in str(caught.value)


def test_other_format_or_version_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.h5")
    with pytest.raises(
        StoreError, match=r"holds format 'test' version 1, expected 'test' version 2; rebuild it with: sn"
    ):
        read(tmp_path / "a.h5", version=2)
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(StoreError, match="holds format 'unknown'"):
        read(tmp_path / "plain.h5")


def test_missing_file_and_torch_cache_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=rf"no such file; make it with: {REMEDY}"):
        read(tmp_path / "a.h5")
    (tmp_path / "cached_graphs.pt").write_bytes(b"PK")
    with pytest.raises(StoreError, match=rf"cached_graphs\.pt: a torch cache is not read.*{REMEDY}"):
        read(tmp_path / "cached_graphs.pt")


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path / "a.h5")
    before = (tmp_path / "a.h5").read_bytes()
    broken = {**columns(), "bad": Column(np.array([object()]), "1")}
    broken["bad"] = Column(np.array([{1: 2}], dtype=object).view(), "1")
    with pytest.raises((TypeError, ValueError)):
        write(tmp_path / "a.h5", settings={"cutoff": object()}, columns=broken)
    assert (tmp_path / "a.h5").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]

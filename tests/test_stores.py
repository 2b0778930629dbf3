"""Stores prove their own content: damage, another format or another version is an error with a remedy."""

import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest

from psigraph.stores import (
    Column,
    ColumnSpec,
    OpenStore,
    Store,
    StoreError,
    StoreWriter,
    content_digest,
    open_store,
    read_store,
    write_store,
)

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


def read(path: Path, version: int = 1) -> Store:
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


def test_digests_are_those_of_files_written_before_there_were_checksums() -> None:
    """SHA-256 of these columns by the first version of this format (commit 1713925)."""
    more = {"none": Column(np.zeros(0, dtype=object), ""), "empty": Column(np.zeros((0, 3), dtype="u1"), "1")}
    expected = "0e59c019ebdc9b120d4b0040fc6684468ad6064a5795662a2bfdc88aa2c9fe19"
    assert content_digest({**columns(), **more}, {"cutoff": 5.0}) == expected


def large() -> dict[str, Column]:
    """Columns of several checksums' blocks each."""
    rng = np.random.default_rng(0)
    return {
        "numbers": Column(rng.normal(size=(5000, 3)), "Å", "random"),
        "small": Column(rng.integers(0, 200, 70_000).astype(np.uint8), "1"),
        "flags": Column(rng.random(10) < 0.5, "1"),
        "none": Column(np.zeros((0, 2)), "1"),
        "text": Column(np.array([f'"{k}"\n\t\\ ä{chr(0x1F600 + k % 50)}' for k in range(3000)], dtype=object), ""),
        "empty text": Column(np.zeros(0, dtype=object), ""),
    }


def write_in_steps(path: Path, found: dict[str, Column], step: int) -> str:
    specs = {
        name: ColumnSpec(
            "text" if c.values.dtype == object else c.values.dtype.str, c.values.shape[1:], c.unit, c.description
        )
        for name, c in found.items()
    }
    header = {"format": "test", "version": 1, "settings": {"a": 1}, "inputs": {"b": "2"}, "attributes": {"c": 3.0}}
    with StoreWriter(path, columns=specs, **header) as writer:
        for start in range(0, 70_000, step):
            for name, column in found.items():
                writer.append(name, column.values[start : start + step])
        return writer.finish()


@pytest.mark.parametrize("step", [999, 70_000])
def test_written_block_by_block_is_written_at_once(tmp_path: Path, step: int) -> None:
    found = large()
    header = {"format": "test", "version": 1, "settings": {"a": 1}, "inputs": {"b": "2"}, "attributes": {"c": 3.0}}
    digest = write_store(tmp_path / "once.h5", columns=found, **header)
    assert write_in_steps(tmp_path / "steps.h5", found, step) == digest == content_digest(found, {"a": 1})
    assert (tmp_path / "steps.h5").read_bytes() == (tmp_path / "once.h5").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["once.h5", "steps.h5"]
    store = read(tmp_path / "steps.h5")
    for name, column in found.items():
        np.testing.assert_array_equal(store[name], column.values)
        assert store[name].dtype == column.values.dtype and store.columns[name].description == column.description


def test_numbers_lie_in_one_piece(tmp_path: Path) -> None:
    """Whoever maps a file into memory finds them at their offset."""
    write_in_steps(tmp_path / "a.h5", large(), 999)
    with open_store(tmp_path / "a.h5", format="test", version=1, remedy=REMEDY) as store:
        column = store.columns["numbers"]
        start = column.dataset.id.get_offset()
        assert column.dataset.chunks is None and column.dtype == np.float64
    body = (tmp_path / "a.h5").read_bytes()[start : start + large()["numbers"].values.nbytes]
    assert body == large()["numbers"].values.tobytes()


def test_rows_of_another_shape_are_refused(tmp_path: Path) -> None:
    with StoreWriter(
        tmp_path / "a.h5", format="test", version=1, settings={}, columns={"x": ColumnSpec("<f8", (3,))}
    ) as writer:
        for values in (np.zeros((2, 2)), np.zeros(3)):
            with pytest.raises(ValueError, match=r"column x: rows of shape .*, expected \(3,\)"):
                writer.append("x", values)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verify", [True, False, "as read"])
def test_slices(tmp_path: Path, verify: bool | str) -> None:
    found = large()
    write_in_steps(tmp_path / "a.h5", found, 70_000)
    with open_store(tmp_path / "a.h5", format="test", version=1, remedy=REMEDY, verify=verify) as store:
        assert set(store.columns) == set(found) and store.settings == {"a": 1} and store.inputs == {"b": "2"}
        assert dict(store.attributes) == {"c": 3.0} and store.digest == content_digest(found, {"a": 1})
        for name, column in found.items():
            stored = store.columns[name]
            assert (
                stored.shape == column.values.shape and stored.unit == column.unit and len(stored) == len(column.values)
            )
            for rows in (slice(None), slice(3, 9), slice(250, 777), slice(2900, 9999), slice(5, 5), slice(9, 3)):
                np.testing.assert_array_equal(stored[rows], column.values[rows])
        with pytest.raises(ValueError, match="not every 2th"):
            store.columns["numbers"][::2]
        with pytest.raises(KeyError):
            store.columns["other"]


def damage(path: Path, needle: bytes) -> None:
    body = bytearray(path.read_bytes())
    at = body.index(needle)
    body[at] ^= 1
    path.write_bytes(body)


def open_as_read(path: Path) -> OpenStore:
    return open_store(path, format="test", version=1, remedy=REMEDY, verify="as read")


@pytest.mark.parametrize("name, row", [("numbers", 4000), ("text", 2000)])
def test_damage_is_found_where_it_is_read(tmp_path: Path, name: str, row: int) -> None:
    found = large()
    write_in_steps(tmp_path / "a.h5", found, 70_000)
    value = found[name].values[row]
    damage(tmp_path / "a.h5", value.tobytes() if name == "numbers" else value.encode())
    with open_as_read(tmp_path / "a.h5") as store:
        np.testing.assert_array_equal(store.columns[name][: row // 2], found[name].values[: row // 2])
        np.testing.assert_array_equal(store.columns["small"][:], found["small"].values)
        for _ in range(2):
            with pytest.raises(StoreError, match=f"a.h5: its content does not match its digest.*{REMEDY}"):
                store.columns[name][row - 5 : row + 5]
    with pytest.raises(StoreError, match="does not match its digest"):
        open_store(tmp_path / "a.h5", format="test", version=1, remedy=REMEDY)


def test_files_without_checksums_are_verified_whole(tmp_path: Path) -> None:
    found = large()
    write_in_steps(tmp_path / "a.h5", found, 70_000)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file.attrs["checksums"]
        for dataset in file.values():
            for name in ("checksums", "checksum_rows", "digest_bytes"):
                if name in dataset.attrs:
                    del dataset.attrs[name]
    with open_as_read(tmp_path / "a.h5") as store:
        np.testing.assert_array_equal(store.columns["text"][5:900], found["text"].values[5:900])
    damage(tmp_path / "a.h5", found["numbers"].values[4000].tobytes())
    with pytest.raises(StoreError, match="does not match its digest"):
        open_as_read(tmp_path / "a.h5")


def test_long_columns_have_no_more_checksums_than_an_attribute_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psigraph.stores.content.MOST_CHECKSUMS", 4)
    write_in_steps(tmp_path / "a.h5", large(), 70_000)
    with h5py.File(tmp_path / "a.h5") as file:
        assert max(len(dataset.attrs["checksums"]) for dataset in file.values()) == 4
    with open_as_read(tmp_path / "a.h5") as store:
        np.testing.assert_array_equal(store.columns["numbers"][1000:3000], large()["numbers"].values[1000:3000])


def test_other_settings_under_the_same_digest_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file.attrs["settings"] = '{"cutoff":6.0}'
    with pytest.raises(StoreError, match="does not match its digest"):
        open_as_read(tmp_path / "a.h5")


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    block = np.random.default_rng(0).normal(size=(1 << 14, 8))  # 1 MiB
    names = np.array([f"name {k}" for k in range(1000)], dtype=object)
    specs = {"x": ColumnSpec("<f8", (8,)), "text": ColumnSpec("text", (), "")}
    tracemalloc.start()
    try:
        with StoreWriter(tmp_path / "a.h5", format="test", version=1, settings={}, columns=specs) as writer:
            for _ in range(64):
                writer.append("x", block)
                writer.append("text", names)
            writer.finish()
        with open_store(tmp_path / "a.h5", format="test", version=1, remedy=REMEDY) as store:
            assert store.columns["x"].shape == (1 << 20, 8)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20 < block.nbytes * 64

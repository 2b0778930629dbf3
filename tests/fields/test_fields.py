import dataclasses

import pytest

from psigraph.fields import (
    BY_NAME,
    COMPLEX_FIELDS,
    DATA_FIELDS,
    EDGE_IRREPS,
    FIELDS,
    FIELDS_OF,
    MOLECULE_FIELDS,
    SHARD_FIELDS,
)
from psigraph.graphs.batch import GraphBatch
from psigraph.graphs.complex_batch import ComplexBatch
from psigraph.graphs.molecule_batch import MoleculeBatch

NOTE = "z_atoms pos_atoms atomic_node_attr field_node_features u y y_true_vref R_internal_val edge_index_atoms"


def test_every_field_is_listed_once_with_what_it_is():
    assert len(BY_NAME) == len(FIELDS) == len({field.name for field in FIELDS})
    for field in FIELDS:
        assert field.description and (field.shard or field.data), field.name
        shapes = [pair for pair in (field.shard, field.data) if pair]
        assert all(field.unit == "" for _, dtype in shapes if dtype == "text")
        assert all(field.unit != "" for _, dtype in shapes if dtype != "text")


def test_the_notes_names_are_there():
    assert set(NOTE.split()) | {"edge_attr_atoms", "edge_attr_sh"} <= {field.name for field in DATA_FIELDS}


def test_irreps_have_the_width_of_the_field():
    from e3nn import o3

    assert o3.Irreps(BY_NAME["field_node_features"].irreps).dim == 8
    assert o3.Irreps(BY_NAME["u"].irreps).dim == 4
    assert o3.Irreps(EDGE_IRREPS).dim == 16


def test_label_unit_stands_in_for_v():
    assert BY_NAME["y"].unit_of("meV") == "meV" and BY_NAME["pos_atoms"].unit_of("meV") == "Å × length_scale"
    assert {field.name for field in SHARD_FIELDS if field.unit == "V"} == {"y", "y_true_vref"}


def test_every_family_has_its_fields():
    assert FIELDS_OF == {"delta": FIELDS, "regional": MOLECULE_FIELDS, "affinity": COMPLEX_FIELDS}


@pytest.mark.parametrize("fields", [MOLECULE_FIELDS, COMPLEX_FIELDS], ids=["molecules", "complexes"])
def test_fields_are_listed_once_and_counted(fields):
    names = [field.name for field in fields]
    assert len(set(names)) == len(names)
    for field in fields:
        assert field.description and field.shard, field.name
        assert (field.unit == "") == (field.shard[1] == "text")
        assert field.shard[0].startswith("(Σ") == (field.counted_by is not None)
    counters = {field.counted_by for field in fields} - {None}
    assert counters == {field.name for field in fields if field.is_offsets}


@pytest.mark.parametrize(
    "family, batch", [("delta", GraphBatch), ("regional", MoleculeBatch), ("affinity", ComplexBatch)]
)
def test_batches_have_the_fields_that_are_marked(family, batch):
    marked = {field.name for field in FIELDS_OF[family] if field.batch}
    assert marked <= {field.name for field in dataclasses.fields(batch)}

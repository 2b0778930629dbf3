from psigraph.fields import BY_NAME, DATA_FIELDS, EDGE_IRREPS, FIELDS, SHARD_FIELDS

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

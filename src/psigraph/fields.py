"""Every field of a graph shard and of a PyG sample, once: shape, types, unit, irreps and meaning.

Legend of shapes: n graphs of a shard, N atoms of one graph, ΣN atoms of all graphs, P undirected pairs of one graph,
ΣP of all graphs, E = 2P directed edges of one graph, K columns of the graphset's `atom_features`. The internal length
unit is 1 Å / `length_scale`, 10 Å by default; `V` is the unit of the labels, which a shard states (`unit`). Uses only
the standard library.
"""

from dataclasses import dataclass

#: Largest distance of an atom from the centroid that field edges cover; a larger dimer is left out with its reason.
FIELD_RANGE = 50.0  # Å

#: Spherical harmonics of an edge, in e3nn's notation: the columns of `edge_attr_sh`.
EDGE_IRREPS = "1x0e+1x1o+1x2e+1x3o"


@dataclass(frozen=True)
class Field:
    """One field; `shard` and `data` are its (shape, dtype) in an HDF5 shard and in PyG `Data`, or None where absent."""

    name: str
    unit: str
    irreps: str
    description: str
    shard: tuple[str, str] | None = None
    data: tuple[str, str] | None = None

    def unit_of(self, label_unit: str) -> str:
        """The unit in a file whose labels are in `label_unit`."""
        return label_unit if self.unit == "V" else self.unit


# "float" in Data is torch.get_default_dtype() at reading, or the dtype asked for.
FIELDS: tuple[Field, ...] = (
    Field("ids", "", "", "unique name of each graph", ("(n,)", "text")),
    Field("group", "", "", "unordered pair of monomer identities; never on two sides of a split", ("(n,)", "text")),
    Field("system", "", "", "all separations of one system share it", ("(n,)", "text")),
    Field("source", "", "", "database or file it was read from", ("(n,)", "text")),
    Field(
        "offsets", "1", "", "graph i is rows offsets[i] to offsets[i+1]-1 of the fields by atom", ("(n+1,)", "int64")
    ),
    Field(
        "pair_offsets", "1", "", "graph i is rows pair_offsets[i] to pair_offsets[i+1]-1 of pairs", ("(n+1,)", "int64")
    ),
    Field(
        "pairs",
        "1",
        "",
        "atom pairs i < j within the cutoff, counted from 0 in their graph, each once, sorted; uint8 where no "
        "structure of the shard has more than 256 atoms",
        ("(ΣP,2)", "uint8 or uint16"),
    ),
    Field("z_atoms", "1", "0e", "atomic numbers", ("(ΣN,)", "uint8"), ("(N,)", "int64")),
    Field(
        "pos_atoms",
        "Å × length_scale",
        "1o",
        "Cartesian coordinates (x, y, z)",
        ("(ΣN,3)", "float64"),
        ("(N,3)", "float"),
    ),
    Field("fragment", "1", "0e", "0: monomer A, 1: monomer B", ("(ΣN,)", "uint8")),
    Field(
        "atomic_node_attr",
        "of each feature",
        "Kx0e",
        "the graphset's atom_features side by side; by default the Mulliken populations of s, p and d functions "
        "[electrons]; 0 where Psi4 gives them and there is no level of theory",
        ("(ΣN,K)", "float64"),
        ("(N,K)", "float"),
    ),
    Field(
        "field_node_features",
        "e·Å × length_scale, e·Å² × length_scale²",
        "1x1o+1x2e",
        "the dimer's dipole (x, y, z) and quadrupole (5 real l = 2 components in e3nn's order) about the unweighted "
        "centroid of its atoms; 0 without a level of theory or with multipoles: false",
        ("(n,8)", "float64"),
        ("(1,8)", "float"),
    ),
    Field(
        "u",
        "Å × length_scale, rad, V, 1",
        "4x0e",
        "R between the monomers (0 for a molecule), angle theta, baseline V_0, participation ratio PR (0 with "
        "participation: false)",
        ("(n,4)", "float64"),
        ("(1,4)", "float"),
    ),
    Field("y", "V", "0e", "target ΔV = V_ref - V_0", ("(n,)", "float64"), ("(1,)", "float")),
    Field("y_true_vref", "V", "0e", "reference V_ref", ("(n,)", "float64"), ("(1,)", "float")),
    Field(
        "R_internal_val",
        "Å × length_scale",
        "0e",
        "R again, for the loss weight",
        ("(n,)", "float64"),
        ("(1,)", "float"),
    ),
    Field("charge", "e", "", "total charges of monomers A and B", ("(n,2)", "int8")),
    Field(
        "theta_defined", "1", "0e", "whether theta has a meaning (both monomers have a unique axis)", ("(n,)", "bool")
    ),
    Field(
        "edge_index_atoms",
        "1",
        "",
        "directed edges: the P pairs as i -> j, then the same P pairs as j -> i",
        None,
        ("(2,E)", "int64"),
    ),
    Field("edge_attr_atoms", "Å × length_scale", "0e", "distance between the two atoms", None, ("(E,1)", "float")),
    Field(
        "edge_attr_sh",
        "1",
        EDGE_IRREPS,
        "spherical harmonics of pos[dst] - pos[src], normalised to the component; only on request",
        None,
        ("(E,16)", "float"),
    ),
    Field("index", "1", "", "row of the graph in its graphset, counted from 0", None, ("(1,)", "int64")),
    Field("graph_id", "", "", "unique name of the graph", None, ("", "text")),
)

BY_NAME: dict[str, Field] = {field.name: field for field in FIELDS}
SHARD_FIELDS: tuple[Field, ...] = tuple(field for field in FIELDS if field.shard is not None)
DATA_FIELDS: tuple[Field, ...] = tuple(field for field in FIELDS if field.data is not None)

"""Every field of graph shards and of PyG samples, once by family: shape, types, unit, irreps and meaning.

Legend of shapes: n graphs of a shard, N atoms of one graph, ΣN atoms of all graphs, P undirected pairs of one graph,
ΣP of all graphs, E = 2P directed edges of one graph, K columns of the graphset's `atom_features`. The internal length
unit is 1 Å / `length_scale`, 10 Å by default; `V` is the unit of the labels, which a shard states (`unit`).

Of molecules: ΣB bonds, ΣR regions, ΣM memberships (an atom of a region), ΣQ pairs of regions of all graphs; KA, KB, KR
and KM columns of the graphset's `atom_features`, `bond_features`, `region_features` and `molecule_features`; T labels.

Of complexes: ΣN atoms of the ligands, ΣB bonds between them, ΣS atoms of the proteins around them, ΣC contacts of all
samples; hydrogen is left out of both. C is the number of `COMPLEX_ATOM_FEATURES`.

Uses only the standard library.
"""

from dataclasses import dataclass

#: Largest distance of an atom from the centroid that field edges cover; a larger dimer is left out with its reason.
FIELD_RANGE = 50.0  # Å

#: Spherical harmonics of an edge, in e3nn's notation: the columns of `edge_attr_sh`.
EDGE_IRREPS = "1x0e+1x1o+1x2e+1x3o"


#: Which field says where a graph's rows begin, by what the rows of a shard's field are.
OFFSETS_OF = {
    "ΣN": "offsets",
    "ΣP": "pair_offsets",
    "ΣB": "bond_offsets",
    "ΣM": "member_offsets",
    "ΣR": "region_offsets",
    "ΣQ": "region_pair_offsets",
    "ΣS": "site_offsets",
    "ΣC": "contact_offsets",
}


@dataclass(frozen=True)
class Field:
    """One field; `shard` and `data` are its (shape, dtype) in an HDF5 shard and in PyG `Data`, or None where absent.

    `batch` says whether batches are cut from it.
    """

    name: str
    unit: str
    irreps: str
    description: str
    shard: tuple[str, str] | None = None
    data: tuple[str, str] | None = None
    batch: bool = False

    @property
    def is_offsets(self) -> bool:
        """Whether it says where each graph's rows of other fields begin."""
        return self.shard is not None and self.shard[0] == "(n+1,)"

    @property
    def counted_by(self) -> str | None:
        """The field that says where a graph's rows of this one begin in a shard; None: one row per graph."""
        rows = self.shard[0].strip("()").split(",")[0] if self.shard else ""
        return OFFSETS_OF.get(rows)

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
        batch=True,
    ),
    Field("z_atoms", "1", "0e", "atomic numbers", ("(ΣN,)", "uint8"), ("(N,)", "int64"), batch=True),
    Field(
        "pos_atoms",
        "Å × length_scale",
        "1o",
        "Cartesian coordinates (x, y, z)",
        ("(ΣN,3)", "float64"),
        ("(N,3)", "float"),
        batch=True,
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
        batch=True,
    ),
    Field(
        "field_node_features",
        "e·Å × length_scale, e·Å² × length_scale²",
        "1x1o+1x2e",
        "the dimer's dipole (x, y, z) and quadrupole (5 real l = 2 components in e3nn's order) about the unweighted "
        "centroid of its atoms; 0 without a level of theory or with multipoles: false",
        ("(n,8)", "float64"),
        ("(1,8)", "float"),
        batch=True,
    ),
    Field(
        "u",
        "Å × length_scale, rad, V, 1",
        "4x0e",
        "R between the monomers (0 for a molecule), angle theta, baseline V_0, participation ratio PR (0 with "
        "participation: false)",
        ("(n,4)", "float64"),
        ("(1,4)", "float"),
        batch=True,
    ),
    Field("y", "V", "0e", "target ΔV = V_ref - V_0", ("(n,)", "float64"), ("(1,)", "float"), batch=True),
    Field("y_true_vref", "V", "0e", "reference V_ref", ("(n,)", "float64"), ("(1,)", "float"), batch=True),
    Field(
        "R_internal_val",
        "Å × length_scale",
        "0e",
        "R again, for the loss weight",
        ("(n,)", "float64"),
        ("(1,)", "float"),
        batch=True,
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

_OFFSETS = "graph i is rows {0}[i] to {0}[i+1]-1 of {1}"


def _bounds(name: str, rows: str) -> Field:
    return Field(name, "1", "", _OFFSETS.format(name, rows), ("(n+1,)", "int64"))


_SMALL = "uint8 or uint16"  # the former where no structure of the shard has more than 256 atoms
#: Of molecules: lengths in Å, numbers of atoms and regions count from 0 in their molecule, what is not known is NaN.
MOLECULE_FIELDS: tuple[Field, ...] = (
    Field("ids", "", "", "unique name of each graph", ("(n,)", "text")),
    Field("group", "", "", "identity of the molecule; never on two sides of a split", ("(n,)", "text")),
    Field("system", "", "", "scaffold of the molecule (Bemis and Murcko), itself without rings", ("(n,)", "text")),
    Field("source", "", "", "table or file it was read from", ("(n,)", "text")),
    Field("charge", "e", "", "total charge", ("(n,)", "int8")),
    Field("n_heavy", "1", "", "atoms other than hydrogen", ("(n,)", "int32")),
    _bounds("offsets", "the fields by atom"),
    _bounds("bond_offsets", "the fields by bond"),
    _bounds("pair_offsets", "pairs"),
    _bounds("member_offsets", "members and core"),
    _bounds("region_offsets", "the fields by region"),
    _bounds("region_pair_offsets", "the fields by pair of regions"),
    Field("z_atoms", "1", "0e", "atomic numbers", ("(ΣN,)", "uint8"), batch=True),
    Field("pos_atoms", "Å", "1o", "Cartesian coordinates (x, y, z)", ("(ΣN,3)", "float64"), batch=True),
    Field(
        "atom_features",
        "of each feature",
        "KAx0e",
        "the graphset's atom_features side by side",
        ("(ΣN,KA)", "float32"),
        batch=True,
    ),
    Field("bonds", "1", "", "bonded atoms i < j, by covalent radii, sorted", ("(ΣB,2)", _SMALL), batch=True),
    Field(
        "bond_features",
        "of each feature",
        "KBx0e",
        "the graphset's bond_features side by side",
        ("(ΣB,KB)", "float32"),
        batch=True,
    ),
    Field("pairs", "1", "", "atoms i < j within the cutoff, each pair once, sorted", ("(ΣP,2)", _SMALL), batch=True),
    Field("members", "1", "", "region and one of its atoms, sorted", ("(ΣM,2)", _SMALL), batch=True),
    Field(
        "core",
        "1",
        "",
        "whether the atom says where the region lies: its centre, of a patch every atom",
        ("(ΣM,)", "bool"),
        batch=True,
    ),
    Field(
        "region_features",
        "of each feature",
        "KRx0e",
        "the graphset's region_features side by side",
        ("(ΣR,KR)", "float32"),
        batch=True,
    ),
    Field(
        "region_pairs",
        "1",
        "",
        "regions I < J whose positions (means of their core atoms) are within the cutoff of regions, sorted",
        ("(ΣQ,2)", _SMALL),
        batch=True,
    ),
    Field(
        "region_pair_features",
        "1",
        "5x0e",
        "fewest bonds between core atoms, -1: not connected; atoms of both; bonds with one end in each; steric: sum of "
        "1 - d/(r_i + r_j), r Bondi's radii, over atoms i of I alone and j of J alone, more than two bonds apart and "
        "nearer than r_i + r_j; chirality: product of the sums of cip_label, 0 where not known",
        ("(ΣQ,5)", "float32"),
        batch=True,
    ),
    Field(
        "molecule_features",
        "of each feature",
        "KMx0e",
        "the graphset's molecule_features side by side",
        ("(n,KM)", "float64"),
        batch=True,
    ),
    Field("y", "of each label", "Tx0e", "the labels of all datasets side by side", ("(n,T)", "float64"), batch=True),
)

#: What is known of every atom of a complex, beside its element: name, unit, meaning. A charge has that of the hydrogens
#: bound to the atom in it.
COMPLEX_ATOM_FEATURES: tuple[tuple[str, str, str], ...] = (
    ("donor", "1", "whether it donates hydrogen bonds"),
    ("acceptor", "1", "whether it accepts hydrogen bonds"),
    ("aromatic", "1", "whether it is part of an aromatic ring"),
    ("hydrophobic", "1", "whether it is hydrophobic: carbon or a halogen bound to neither nitrogen nor oxygen"),
    ("charge", "e", "partial charge"),
)
_COMPLEX_ATOM = ", ".join(f"{name} ({meaning})" for name, _, meaning in COMPLEX_ATOM_FEATURES)
#: Of complexes of a protein and a ligand: lengths in Å, numbers of atoms count from 0 in their sample.
COMPLEX_FIELDS: tuple[Field, ...] = (
    Field("ids", "", "", "unique name of each complex", ("(n,)", "text")),
    Field("group", "", "", "target: the protein's name; never on two sides of a split by group", ("(n,)", "text")),
    Field("system", "", "", "scaffold of the ligand (Bemis and Murcko), itself without rings", ("(n,)", "text")),
    Field("ligand", "", "", "canonical SMILES of the ligand", ("(n,)", "text")),
    Field("side", "", "", "side of the split that the source proposes: train, validation or test", ("(n,)", "text")),
    Field("measure", "", "", "what was measured: Kd, Ki, IC50, or unknown", ("(n,)", "text")),
    Field("source", "", "", "table or file it was read from", ("(n,)", "text")),
    Field("charge", "e", "", "total charge of the ligand", ("(n,)", "int8")),
    Field("n_heavy", "1", "", "atoms of the ligand other than hydrogen", ("(n,)", "int32")),
    _bounds("offsets", "the fields by atom of the ligand"),
    _bounds("bond_offsets", "the fields by bond"),
    _bounds("site_offsets", "the fields by atom of the protein"),
    _bounds("contact_offsets", "contacts"),
    Field("z_atoms", "1", "0e", "atomic numbers of the ligand", ("(ΣN,)", "uint8"), batch=True),
    Field("pos_atoms", "Å", "1o", "positions of the ligand's atoms (x, y, z)", ("(ΣN,3)", "float64"), batch=True),
    Field(
        "atom_features", "1, e", "5x0e", f"of the ligand's atoms: {_COMPLEX_ATOM}", ("(ΣN,5)", "float32"), batch=True
    ),
    Field("bonds", "1", "", "bonded atoms i < j of the ligand, sorted", ("(ΣB,2)", "uint16"), batch=True),
    Field(
        "bond_features",
        "1",
        "3x0e",
        "order (1, 1.5 aromatic, 2, 3), whether conjugated, whether in a ring",
        ("(ΣB,3)", "float32"),
        batch=True,
    ),
    Field("site_z", "1", "0e", "atomic numbers of the protein near the ligand", ("(ΣS,)", "uint8"), batch=True),
    Field("site_pos", "Å", "1o", "positions of the protein's atoms (x, y, z)", ("(ΣS,3)", "float64"), batch=True),
    Field(
        "site_features", "1, e", "5x0e", f"of the protein's atoms: {_COMPLEX_ATOM}", ("(ΣS,5)", "float32"), batch=True
    ),
    Field(
        "in_pocket", "1", "", "whether a protein's atom is of a residue in the pocket", ("(ΣS,)", "bool"), batch=True
    ),
    Field("site_residue", "1", "", "number of the atom's residue in its protein", ("(ΣS,)", "int32")),
    Field(
        "contacts",
        "1",
        "",
        "atom of the ligand and atom of the protein within the contact cutoff, sorted",
        ("(ΣC,2)", "uint16"),
        batch=True,
    ),
    Field("y", "of each label", "Tx0e", "the labels of all datasets side by side", ("(n,T)", "float64"), batch=True),
)

FIELDS_OF: dict[str, tuple[Field, ...]] = {
    "delta": FIELDS,
    "regional": MOLECULE_FIELDS,
    "affinity": COMPLEX_FIELDS,
}

BY_NAME: dict[str, Field] = {field.name: field for field in FIELDS}
SHARD_FIELDS: tuple[Field, ...] = tuple(field for field in FIELDS if field.shard is not None)
DATA_FIELDS: tuple[Field, ...] = tuple(field for field in FIELDS if field.data is not None)

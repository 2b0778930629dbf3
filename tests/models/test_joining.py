"""Plans of joins and chains: against slow obvious loops, and on molecules where the answer is known."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from rdkit import Chem
from regional_suite import RegionalSuite
from synthetic_molecules import SETTINGS, batch, molecules, permuted, smallest

from psigraph.graphs.molecule_batch import MoleculeBatch
from psigraph.graphs.molecule_settings import MoleculeSettings
from psigraph.graphs.molecules import molecule_batch
from psigraph.models.regional.chains import chains_of, hops_between
from psigraph.models.regional.joining import MUTUAL, ROUNDS, Plan, joining_plan

SMILES = ("C", "CC", "CCCCCC", "c1ccccc1", "CC(=O)O", "CC(C)(C)O", "OC1CC1", "C#CC#N", "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
          "[Na+].[Cl-]", "C.CC.O", "[He]")  # fmt: skip
_VALENCE = {1: 1, 6: 4, 7: 3, 8: 2, 9: 1, 17: 1}


def graph(smiles: Sequence[str], seed: int | None = None) -> MoleculeBatch:
    """Return molecules without a geometry, each atom with those bound to it as a region; atoms in any order."""
    z, bonds, owner = [], [], []
    for number, text in enumerate(smiles):
        found = Chem.AddHs(Chem.MolFromSmiles(text))
        order = np.arange(found.GetNumAtoms()) if seed is None else np.random.default_rng(seed).permutation(
            found.GetNumAtoms())  # fmt: skip
        place = np.argsort(order) + len(z)
        z += [found.GetAtomWithIdx(int(k)).GetAtomicNum() for k in order]
        bonds += [sorted((place[b.GetBeginAtomIdx()], place[b.GetEndAtomIdx()])) for b in found.GetBonds()]
        owner += [number] * len(order)
    edges = torch.tensor(np.array(bonds, dtype=np.int64).reshape(-1, 2))
    atoms = torch.arange(len(z))
    members = torch.cat([torch.stack([atoms, atoms], 1), edges, edges.flip(1)])
    empty = batch(molecules()[:1])
    return replace(
        empty,
        z_atoms=torch.tensor(z),
        bonds=edges,
        members=members,
        core=members[:, 0] == members[:, 1],
        atoms_batch=torch.tensor(owner),
        regions_batch=torch.tensor(owner),
    )


def groups(plan: Plan, regions: int) -> list[list[set[int]]]:
    """Return what the items of each level are made of, as sets of regions; those of finished molecules stay."""
    level, levels = [{region} for region in range(regions)], []
    for step in plan.steps:
        new: list[set[int]] = [set() for _ in step.molecule]
        for part, owner in zip(step.part.tolist(), step.owner.tolist(), strict=True):
            new[owner] |= level[part]
        levels.append(new)
        level = new
    return levels


def mixed(value: int) -> int:
    """splitmix64's finaliser, cut to 40 bits."""
    mask = 2**64 - 1
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & mask
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & mask
    return (value ^ (value >> 31)) >> 24


def slow_levels(data: MoleculeBatch) -> list[set[frozenset[int]]]:
    """Return the items of each level of one molecule whose regions are its atoms."""
    z, bonds = data.z_atoms.tolist(), data.bonds.tolist()
    degree = [sum(atom in bond for bond in bonds) for atom in range(len(z))]
    order = {tuple(b): 1 + min(max(_VALENCE.get(z[a], 0) - degree[a], 0) for a in b) for b in bonds}
    items = [frozenset([atom]) for atom in range(len(z))]
    colour = {item: mixed(mixed(z[min(item)])) for item in items}
    levels = []
    while len(items) > 1:
        strength = {}
        for first in items:
            for second in items:
                between = [order[tuple(b)] for b in bonds if first & set(b) and second & set(b)]
                if first != second and between:
                    strength[first, second] = sum(between)
        keys = slow_keys(items, strength, colour, z)
        nearest = {a: min(keys[pair] for pair in strength if pair[0] == a) for a, _ in strength}
        new = [set(item) for item in items]
        for (a, b), _ in strength.items():
            near = [keys[a, b] == nearest[a], keys[a, b] == nearest[b]]
            if all(near) if len(levels) < MUTUAL else any(near):
                one, two = (next(s for s in new if set(x) <= s) for x in (a, b))
                if one is not two:
                    new = [s for s in new if s is not one and s is not two] + [one | two]
        if not strength:
            new = [set(range(len(z)))]
        after = [frozenset(item) for item in new]
        colour = {
            item: mixed(
                sum(mixed(colour[part]) for part in items if part <= item)
                + sum(
                    mixed(colour[a] + colour[b] + strength[a, b])
                    for a, b in strength
                    if a <= item and b <= item and min(a) < min(b)
                )  # fmt: skip
            )
            for item in after
        }
        items = after
        levels.append(set(items))
    return levels


def slow_keys(items: list, strength: dict, colour: dict, z: list[int]) -> dict:
    """Return what two items are compared by: size, strength, and sums of colours from near to far."""
    heavy = {item: sum(z[atom] > 1 for atom in item) for item in items}
    rounds = [colour]
    for _ in range(ROUNDS[-1]):
        last = rounds[-1]
        rounds.append({
            item: mixed(3 * last[item] + sum(mixed(last[b] + mixed(s)) for (a, b), s in strength.items() if a == item))
            for item in items
        })  # fmt: skip
    return {
        (a, b): (heavy[a] + heavy[b], -s, *(rounds[k][a] + rounds[k][b] for k in ROUNDS))
        for (a, b), s in strength.items()
    }


@pytest.mark.parametrize("smiles", SMILES)
def test_plan_equals_a_slow_one(smiles: str) -> None:
    data = graph([smiles])
    found = [{frozenset(item) for item in level} for level in groups(joining_plan(data), len(data.z_atoms))]
    assert found == slow_levels(data)


def test_batch_equals_singles() -> None:
    together = joining_plan(graph(SMILES))
    sizes = {number: 0 for number in range(len(SMILES))}
    for number, smiles in enumerate(SMILES):
        alone = joining_plan(graph([smiles]))
        for level, step in enumerate(alone.steps):
            mine = together.steps[level].molecule == number
            assert int(mine.sum()) == len(step.molecule)
            assert int(mine[together.steps[level].edges[:, 0]].sum()) == len(step.edges)
            sizes[number] = level + 1
    assert len(together.steps) == max(sizes.values())
    assert all((step.molecule == n).sum() == 0 for n, last in sizes.items() for step in together.steps[last:])


def test_every_molecule_ends_as_one_item_in_few_steps() -> None:
    data = graph([*SMILES, "C" * 60, "N" + "C" * 41 + "=O"])
    plan = joining_plan(data)
    atoms = torch.bincount(data.regions_batch)
    steps = torch.zeros_like(atoms)
    last = atoms.clone()
    for step in plan.steps:
        count = torch.bincount(step.molecule, minlength=len(atoms))
        steps += count > 0
        assert bool((count < last)[count > 0].all())
        last = torch.where(count > 0, count, last)
    assert bool((last == 1).all())
    assert bool((steps <= MUTUAL + torch.log2(atoms).ceil()).all())


def test_hydrogens_come_to_their_atom_and_groups_to_each_other() -> None:
    """Acetic acid: CH3, C=O and OH, of which no two tie."""
    data = graph(["CC(=O)O"])
    first = groups(joining_plan(data), 8)[0]
    elements = sorted(sorted(data.z_atoms[list(item)].tolist()) for item in first)
    assert elements == [[1, 1, 1, 6], [1, 8], [6, 8]]


def test_ties_are_joined_together() -> None:
    """Benzene: six CH, then all at once; methane and neopentane likewise."""
    for smiles, sizes in (("c1ccccc1", [6, 1]), ("C", [1]), ("CC(C)(C)C", [5, 1])):
        assert [len(step.molecule) for step in joining_plan(graph([smiles])).steps] == sizes


@pytest.mark.parametrize("smiles", ["CCCCCCC", "OC1CC1", "CC(C)Cc1ccc(cc1)C(C)C(=O)O", "C.CC.O"])
def test_numbering_does_not_matter(smiles: str) -> None:
    """By what the items are made of: colours, for atoms of the same kind can be exchanged."""
    expected = None
    for seed in (None, 1, 2, 3):
        data = graph([smiles], seed)
        found = [
            sorted((len(item), *sorted(data.z_atoms[list(item)].tolist())) for item in level)
            for level in groups(joining_plan(data), len(data.z_atoms))
        ]
        expected = expected or found
        assert found == expected


def test_a_chain_is_joined_alike_from_both_ends() -> None:
    """Heptane's mirror image in its own numbering exchanges the items of every level."""
    data = graph(["CCCCCCC"])
    for level in groups(joining_plan(data), len(data.z_atoms)):
        carbons = {frozenset(item & set(range(7))) for item in level}
        assert {frozenset(6 - c for c in item) for item in carbons} == carbons


def test_bonds_are_pooled_into_generalised_ones() -> None:
    """Every bond between atoms is in one generalised bond or inside one item, at every level."""
    data = graph(SMILES)
    plan = joining_plan(data)
    count = torch.bincount(plan.bonds_owner, minlength=len(plan.edges))
    assert int(count.sum()) == len(data.bonds) and torch.equal(plan.edges[plan.bonds_owner], data.bonds)
    edges, items = plan.edges, len(data.regions_batch)
    for step in plan.steps:
        owner = torch.full((items,), -1)
        owner[step.part] = step.owner
        ends = owner[edges]
        unfinished = ends[:, 0] >= 0
        assert int(unfinished.sum()) == len(step.crossing) + len(step.inner)
        assert torch.equal(ends[step.crossing].sort(1).values, step.edges[step.crossing_owner])
        assert bool((ends[step.inner] == step.inner_owner[:, None]).all())
        edges, items = step.edges, len(step.molecule)


def test_other_kinds_of_regions_end_as_one_item() -> None:
    for kind in ("patches", "k_hop"):
        settings = MoleculeSettings(cutoff=4.0, region_cutoff=6.0, regions=kind, patch_atoms=3)
        structures = [found.structure for found in (*molecules(), *smallest())]
        data = molecule_batch(structures, settings)
        plan = joining_plan(data)
        regions = torch.bincount(data.regions_batch, minlength=data.num_graphs)
        done = regions == 1
        for step in plan.steps:
            done |= torch.bincount(step.molecule, minlength=data.num_graphs) == 1
        assert bool(done.all()) and len(plan.steps) > 0


def test_first_steps_only() -> None:
    data = graph(SMILES)
    first, whole = joining_plan(data, 1), joining_plan(data)
    assert len(first.steps) == 1 < len(whole.steps)
    assert torch.equal(first.steps[0].owner, whole.steps[0].owner)


def test_an_atom_must_be_the_core_of_one_region() -> None:
    data = graph(["CC"])
    with pytest.raises(ValueError, match="atom 0 of the batch is the core of 5 regions; each must be of one"):
        joining_plan(replace(data, core=torch.ones_like(data.core)))


def test_geometry_has_no_say() -> None:
    samples = molecules()
    rng = np.random.default_rng(0)
    shaken = [replace(s, structure=replace(s.structure, positions=s.structure.positions + 0.02 * rng.normal(
        size=s.structure.positions.shape))) for s in samples]  # fmt: skip
    for first, second in zip(joining_plan(batch(samples)).steps, joining_plan(batch(shaken)).steps, strict=True):
        assert torch.equal(first.owner, second.owner) and torch.equal(first.edges, second.edges)


@pytest.mark.parametrize("kind", ["patches", "k_hop"])
@pytest.mark.parametrize(
    ("architecture", "options"),
    [("region_coarsening", {}), ("region_merging", {}), ("region_merging", {"sequential": True}),
     ("wavefunction_messages", {})],
)  # fmt: skip
def test_models_on_other_kinds_of_regions(architecture: str, options: dict, kind: str) -> None:
    """Neither the rest of the batch nor numbering matters."""

    class Suite(RegionalSuite):
        settings = replace(SETTINGS, regions=kind, patch_atoms=3)
        hyperparameters = {"dim": 8, "heads": 2, "num_rbf": 4, **options}

    Suite.architecture = architecture
    Suite().test_permutation(torch.float64)
    Suite().test_batch_equals_singles(torch.float64)


def slow_hops(atoms: int, bonds: list[list[int]], begin: int) -> list[int]:
    found, queue = {begin: 0}, deque([begin])
    while queue:
        here = queue.popleft()
        for bond in bonds:
            if here in bond:
                there = bond[0] + bond[1] - here
                if there not in found:
                    found[there] = found[here] + 1
                    queue.append(there)
    return [found.get(atom, -1) for atom in range(atoms)]


def test_hops_equal_slow_ones() -> None:
    data = graph(SMILES)
    hops = hops_between(data.regions_batch.numpy(), data.bonds.numpy())
    begin = torch.searchsorted(data.regions_batch, torch.arange(len(SMILES)))
    for atom, owner in enumerate(data.regions_batch.tolist()):
        first = int(begin[owner])
        count = int((data.regions_batch == owner).sum())
        slow = slow_hops(len(data.z_atoms), data.bonds.tolist(), atom)
        assert hops[atom, :count].tolist() == slow[first : first + count]
        assert (hops[atom, count:] == -1).all()


def order_of(smiles: str, seed: int | None = None) -> tuple[MoleculeBatch, list[list[set[int]]]]:
    """Return a molecule and, for each chain, the sets of atoms it takes step by step."""
    data = graph([smiles], seed)
    chains = chains_of(data.regions_batch, data.bonds)
    assert math.isclose(float(chains.share.sum()), 1)
    found: list[list[set[int]]] = [[] for _ in chains.molecule]
    for turn in chains.turns:
        for row, chain in enumerate(turn.chains.tolist()):
            found[chain].append(set(turn.items[turn.taker == row].tolist()))
    return data, found


def test_a_chain_is_taken_from_both_ends() -> None:
    """HC≡C-C≡N: five steps from the hydrogen and five from the nitrogen."""
    data, found = order_of("C#CC#N")
    elements = sorted([int(data.z_atoms[next(iter(step))]) for step in chain] for chain in found)
    assert elements == [[1, 6, 6, 6, 7], [7, 6, 6, 6, 1]]


def test_a_ring_is_taken_from_everywhere_and_parts_come_last() -> None:
    _, found = order_of("c1ccccc1")
    assert [[len(step) for step in chain] for chain in found] == 6 * [[1, 1, 2, 4, 3, 1]]
    data, found = order_of("[Na+].[Cl-]")
    assert sorted(map(tuple, ([tuple(s) for s in chain] for chain in found))) == [((0,), (1,)), ((1,), (0,))]


def test_every_chain_takes_every_item_once_in_any_numbering() -> None:
    for seed in (None, 1):
        lengths = []
        for smiles in SMILES:
            data, found = order_of(smiles, seed)
            for chain in found:
                assert sorted(item for step in chain for item in step) == list(range(len(data.z_atoms)))
            lengths.append(sorted([len(step) for step in chain] for chain in found))
        if seed is None:
            expected = lengths
    assert lengths == expected


def test_the_same_plan_for_permuted_samples() -> None:
    rng = np.random.default_rng(1)
    changed = [permuted(found, rng.permutation(found.structure.n_atoms)) for found in molecules()]
    for first, second in zip(joining_plan(batch(molecules())).steps, joining_plan(batch(changed)).steps, strict=True):
        assert torch.equal(torch.bincount(first.molecule), torch.bincount(second.molecule))
    assert SETTINGS.regions == "bonded"

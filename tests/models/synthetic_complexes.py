"""Random complexes for the tests of models: a ligand in the middle of a ball of protein atoms."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from psigraph.graphs.complex_batch import ComplexBatch

CONTACT = 4.5  # Å
POCKET = 6.0  # Å
#: Elements and how often they are drawn; selenium and zinc have the channel `other`.
LIGAND_ELEMENTS, LIGAND_SHARES = (6, 7, 8, 16, 15, 9, 17, 35), (0.6, 0.12, 0.12, 0.04, 0.02, 0.04, 0.04, 0.02)
SITE_ELEMENTS, SITE_SHARES = (6, 7, 8, 16, 34, 30), (0.6, 0.17, 0.18, 0.03, 0.01, 0.01)


@dataclass(frozen=True)
class Sample:
    """One complex; numbers of atoms count from 0 in it."""

    z: np.ndarray  # (N,)
    positions: np.ndarray  # (N, 3) Å
    features: np.ndarray  # (N, 5)
    bonds: np.ndarray  # (B, 2)
    bond_features: np.ndarray  # (B, 3)
    site_z: np.ndarray  # (S,)
    site_positions: np.ndarray  # (S, 3) Å
    site_features: np.ndarray  # (S, 5)
    in_pocket: np.ndarray  # (S,)
    contacts: np.ndarray  # (C, 2)
    y: float

    def moved(self, matrix: np.ndarray, shift: Sequence[float] = (0, 0, 0)) -> "Sample":
        """Return the complex turned by a rotation matrix and shifted [Å]."""
        ligand, site = (found @ matrix.T + np.array(shift) for found in (self.positions, self.site_positions))
        return replace(self, positions=ligand, site_positions=site)

    def permuted(self, rng: np.random.Generator) -> "Sample":
        """Return the same complex with its atoms, bonds and contacts in another order."""
        atoms, sites = rng.permutation(len(self.z)), rng.permutation(len(self.site_z))
        bonds, contacts = rng.permutation(len(self.bonds)), rng.permutation(len(self.contacts))
        new_atom, new_site = np.argsort(atoms), np.argsort(sites)
        return replace(
            self,
            z=self.z[atoms],
            positions=self.positions[atoms],
            features=self.features[atoms],
            bonds=np.sort(new_atom[self.bonds[bonds]], axis=1),
            bond_features=self.bond_features[bonds],
            site_z=self.site_z[sites],
            site_positions=self.site_positions[sites],
            site_features=self.site_features[sites],
            in_pocket=self.in_pocket[sites],
            contacts=np.stack([new_atom[self.contacts[contacts, 0]], new_site[self.contacts[contacts, 1]]], 1),
        )

    def without_protein(self) -> "Sample":
        """Return the ligand alone, without bonds: no atoms of the protein, no pocket, no contacts."""
        return replace(
            self,
            bonds=self.bonds[:0],
            bond_features=self.bond_features[:0],
            site_z=self.site_z[:0],
            site_positions=self.site_positions[:0],
            site_features=self.site_features[:0],
            in_pocket=self.in_pocket[:0],
            contacts=self.contacts[:0],
        )


def complexes(count: int, seed: int = 0, atoms: int = 14, sites: int = 90) -> list[Sample]:
    """Return complexes with about so many atoms; the labels grow with contacts and charges, about 5 to 8."""
    rng = np.random.default_rng(seed)
    return [_complex(rng, int(rng.integers(atoms // 2, atoms + 1)), sites) for _ in range(count)]


def _complex(rng: np.random.Generator, atoms: int, sites: int) -> Sample:
    ligand = np.cumsum(_directions(rng, atoms) * 1.5, axis=0)
    ligand += rng.uniform(-20, 20, 3)
    shell = 4.0 + 8.0 * rng.uniform(size=(sites, 1)) ** 0.5
    site = ligand.mean(0) + _directions(rng, sites) * shell
    distance = np.linalg.norm(ligand[:, None] - site, axis=2)
    contacts = np.argwhere(distance < CONTACT)
    features, site_features = _features(rng, atoms), _features(rng, sites)
    bonds = np.stack([np.arange(atoms - 1), np.arange(1, atoms)], 1)
    attraction = -(features[contacts[:, 0], 4] * site_features[contacts[:, 1], 4]).sum()
    return Sample(
        z=rng.choice(LIGAND_ELEMENTS, atoms, p=LIGAND_SHARES),
        positions=ligand,
        features=features,
        bonds=bonds,
        bond_features=np.stack([rng.choice([1, 1.5, 2, 3], atoms - 1), *rng.integers(0, 2, (2, atoms - 1))], 1),
        site_z=rng.choice(SITE_ELEMENTS, sites, p=SITE_SHARES),
        site_positions=site,
        site_features=site_features,
        in_pocket=distance.min(0) < POCKET,
        contacts=contacts,
        y=5.0 + 0.05 * len(contacts) + attraction + 0.1 * atoms,
    )


def _directions(rng: np.random.Generator, count: int) -> np.ndarray:
    found = rng.normal(size=(count, 3))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def _features(rng: np.random.Generator, atoms: int) -> np.ndarray:
    flags = rng.uniform(size=(atoms, 4)) < [0.15, 0.2, 0.3, 0.4]
    return np.concatenate([flags, rng.normal(0, 0.3, (atoms, 1))], 1)


def batch(samples: Sequence[Sample], dtype: torch.dtype = torch.float64) -> ComplexBatch:
    """Return samples as a batch."""
    ptr = {
        name: np.concatenate([[0], np.cumsum([len(getattr(sample, rows)) for sample in samples])]).astype(np.int64)
        for name, rows in (("atoms", "z"), ("bonds", "bonds"), ("sites", "site_z"), ("contacts", "contacts"))
    }
    first = list(zip(ptr["atoms"], ptr["sites"], strict=True))

    def real(name: str) -> torch.Tensor:
        return torch.from_numpy(np.concatenate([getattr(sample, name) for sample in samples])).to(dtype)

    def whole(arrays: Sequence[np.ndarray]) -> torch.Tensor:
        return torch.from_numpy(np.concatenate(arrays).astype(np.int64))

    return ComplexBatch(
        z_atoms=whole([sample.z for sample in samples]),
        pos_atoms=real("positions"),
        atom_features=real("features"),
        bonds=whole([sample.bonds + atom for sample, (atom, _) in zip(samples, first, strict=False)]),
        bond_features=real("bond_features"),
        site_z=whole([sample.site_z for sample in samples]),
        site_pos=real("site_positions"),
        site_features=real("site_features"),
        in_pocket=whole([sample.in_pocket for sample in samples]).bool(),
        contacts=whole([sample.contacts + list(start) for sample, start in zip(samples, first, strict=False)]),
        y=torch.tensor([[sample.y] for sample in samples], dtype=dtype),
        atoms_batch=whole([np.full(len(sample.z), k) for k, sample in enumerate(samples)]),
        sites_batch=whole([np.full(len(sample.site_z), k) for k, sample in enumerate(samples)]),
        atoms_ptr=torch.from_numpy(ptr["atoms"]),
        bonds_ptr=torch.from_numpy(ptr["bonds"]),
        sites_ptr=torch.from_numpy(ptr["sites"]),
        contacts_ptr=torch.from_numpy(ptr["contacts"]),
        index=torch.arange(len(samples)),
        global_size=len(samples),
    )

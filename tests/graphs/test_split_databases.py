"""No group on two sides with all databases of psi4-data loaded at once."""

import numpy as np
import pytest

from psigraph.config import DATABASES, Psi4Databases
from psigraph.graphs.split import SPLITS, split_groups


@pytest.fixture(scope="module")
def all_databases():
    from psigraph.structures.build import load_dataset
    from psigraph.structures.sources import StructureError, psi4_databases_folder

    try:
        psi4_databases_folder()
    except StructureError as error:
        pytest.skip(str(error))
    dataset = Psi4Databases(source="psi4_databases", databases=list(DATABASES), max_rejected=1.0)
    return load_dataset(dataset, "all").structures


@pytest.mark.parametrize("folds", [None, 5])
def test_no_group_on_two_sides(all_databases, folds):
    groups = np.array([s.group for s in all_databases])
    sources = np.array([s.source for s in all_databases])
    shared = [g for g in np.unique(groups) if len(set(sources[groups == g])) > 1]
    assert len(groups) > 4000 and len(shared) >= 10  # the same pair of molecules in several databases
    for seed in range(5):
        split = split_groups(groups, seed=seed, validation=0.1, test=0.2, folds=folds)
        sides = [set(groups[split[name]]) for name in SPLITS]
        assert sum(map(len, sides)) == len(set().union(*sides)) == len(set(groups))
        assert sorted(np.concatenate(list(split.values()))) == list(range(len(groups)))

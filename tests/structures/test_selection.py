import numpy as np
import pytest

from psigraph.structures.selection import limit_per_group, limit_total, separation_of, spread


@pytest.mark.parametrize(
    "n, k, expected", [(5, 9, [0, 1, 2, 3, 4]), (5, 1, [2]), (9, 3, [0, 4, 8]), (8, 4, [0, 2, 5, 7]), (3, 2, [0, 2])]
)
def test_spread(n, k, expected):
    assert spread(n, k) == expected


@pytest.mark.parametrize("n, k", [(n, k) for n in (7, 20, 101) for k in range(2, 8)])
def test_spread_never_repeats_a_position(n, k):
    assert len(set(spread(n, k))) == min(n, k)


def test_a_group_keeps_its_near_and_its_far_points(dimer):
    r = [5.0, 3.0, 9.0, 4.0, 6.0, 8.0, 7.0]
    structures = [dimer(f"a{i}", r=x, group="a") for i, x in enumerate(r)] + [dimer("b", group="b")]
    kept = limit_per_group(structures, 3)
    assert sorted(separation_of(structures[i]) for i in kept[:-1]) == pytest.approx([3.0, 6.0, 9.0])
    assert kept == sorted(kept) and kept[-1] == 7


def test_the_choice_does_not_depend_on_the_order(dimer):
    structures = [dimer(f"a{i}", r=3 + i * 0.37, group="g") for i in range(11)]
    order = np.random.default_rng(0).permutation(11)
    kept = {structures[i].id for i in limit_per_group(structures, 4)}
    shuffled = [structures[i] for i in order]
    assert {shuffled[i].id for i in limit_per_group(shuffled, 4)} == kept


@pytest.mark.parametrize(
    "total, expected", [(30, [1, 8, 3, 8]), (10, [1, 3, 3, 3]), (9, [1, 3, 2, 3]), (2, [1, 0, 0, 1])]
)
def test_a_total_is_shared_evenly_over_groups(dimer, total, expected):
    structures = [
        dimer(f"{g}{i}", r=3 + i, group=g) for g, n in zip("abcd", (1, 8, 3, 8), strict=True) for i in range(n)
    ]
    kept = [structures[i].group for i in limit_total(structures, total)]
    assert [kept.count(g) for g in "abcd"] == expected
    assert len(kept) == min(total, 20)


def test_the_raw_datas_separation_is_preferred(dimer):
    assert separation_of(dimer(r=4.0, separation=7.5)) == 7.5
    assert separation_of(dimer(r=4.0)) == pytest.approx(4.0)

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibrant.stages.optimization.choice import Option, chosen, pareto_front
from calibrant.stages.optimization.recipe import Recipe
from calibrant.stages.recommend import Candidate, Drop, PairedBootstrap

IMAGES = 40
BOOTSTRAP = PairedBootstrap(IMAGES, seed=0)


class Means:
    def __init__(self, values: NDArray[np.float64]) -> None:
        self.values = values

    def resample(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        result: NDArray[np.float64] = weights @ self.values / weights.sum(axis=1)
        return result


def option(drop: float, share: float, agreement: float = 0.9) -> Option:
    """A model that loses the same on every image, so that any difference is real."""
    recipe = Recipe(f"{drop}-{share}-{agreement}")
    value = 0.5 - drop / 100
    evidence = Means(np.full(IMAGES, value))
    return Option(recipe, agreement, share, Drop(drop, drop, drop), Candidate(recipe.key, 0, value, evidence))


options = st.lists(
    st.builds(
        option,
        st.floats(0, 20).map(lambda x: round(x, 2)),
        st.sampled_from([0.9, 0.95, 1.0]),
        st.floats(0, 1).map(lambda x: round(x, 3)),
    ),
    min_size=1,
    max_size=8,
)


@given(options, st.floats(0, 10))
def test_the_target_is_kept_wherever_it_can_be(found: list[Option], max_drop: float) -> None:
    best = chosen(found, max_drop, BOOTSTRAP)
    able = [o for o in found if o.drop.points <= max_drop]
    if able:
        assert best in able
        assert best.int8_share == max(o.int8_share for o in able)
    else:
        assert best.drop.points == min(o.drop.points for o in found)


def test_among_models_that_cannot_be_told_apart_agreement_decides() -> None:
    rng = np.random.default_rng(0)
    noisy = [replace(option(0.5, 1.0, a), recipe=Recipe(str(a))) for a in (0.8, 0.9)]
    noisy = [
        replace(o, candidate=Candidate(str(o.agreement), 0, 0.5, Means(rng.uniform(0, 1, IMAGES))))
        for o in noisy
    ]
    lucky = replace(noisy[0], drop=Drop(-0.3, -1, 1))
    assert chosen([lucky, noisy[1]], 1.0, BOOTSTRAP) is noisy[1]


@given(options)
def test_nothing_on_the_front_is_beaten_and_all_else_is(found: list[Option]) -> None:
    front = pareto_front(found)
    for o in found:
        beaten = any(
            p.int8_share >= o.int8_share and p.drop.points <= o.drop.points and p is not o for p in front
        )
        assert beaten or o in front
    shares = [o.int8_share for o in front]
    drops = [o.drop.points for o in front]
    assert shares == sorted(set(shares), reverse=True)
    assert drops == sorted(set(drops), reverse=True)

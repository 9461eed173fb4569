from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.metrics import Loss
from calibrant.core.recipes import Recipe
from calibrant.stages.optimization.choice import (
    ITS_SPREAD,
    LOSS_PER_DISAGREEMENT,
    Outlook,
    ScoredRecipe,
    Tolerance,
    chosen,
    outlook,
    pareto_front,
)

FLOAT_POINTS = 30.0
OTHERS = Outlook(LOSS_PER_DISAGREEMENT * FLOAT_POINTS, ITS_SPREAD * FLOAT_POINTS)


def option(
    drop: float, share: float = 1.0, agreement: float = 0.9, noise: float = 0.9
) -> ScoredRecipe[Recipe]:
    recipe = Recipe(f"{drop}-{share}-{agreement}")
    return ScoredRecipe(recipe, agreement, share, Loss(drop, drop - noise, drop + noise))


options = st.lists(
    st.builds(
        option,
        st.floats(-1, 20).map(lambda x: round(x, 2)),
        st.sampled_from([0.9, 0.95, 1.0]),
        st.floats(0, 1).map(lambda x: round(x, 3)),
    ),
    min_size=1,
    max_size=8,
)


@given(options, st.floats(0, 10), st.floats(0, 0.2))
def test_the_target_is_kept_wherever_it_can_be(
    found: list[ScoredRecipe[Recipe]], max_drop: float, float_share: float
) -> None:
    expected, tolerance = outlook(found, FLOAT_POINTS), Tolerance(max_drop, float_share)
    best = chosen(found, tolerance, expected)
    able = [o for o in found if expected.at_most(o) <= max_drop]
    if not able:
        assert expected.expected(best) == min(map(expected.expected, found))
        return
    assert best in able
    for o in able:  # nobody is better in both
        assert best.int8_share >= o.int8_share or expected.at_most(best) <= expected.at_most(o)
        assert tolerance.used_up(best, expected) <= tolerance.used_up(o, expected)


def test_a_little_float_is_taken_where_it_makes_the_target_surer() -> None:
    """Agreement and shares as measured on YOLOX-nano and YOLOv5n."""
    tolerance = Tolerance(1.0, 0.05)
    unsure, surer = option(0.3, 1.0, 0.932), option(-0.05, 0.9957, 0.952)
    assert chosen([unsure, surer], tolerance, outlook([unsure, surer], FLOAT_POINTS)) is surer
    sure, hardly_surer = option(0.0, 1.0, 0.9500), option(0.0, 0.9971, 0.9505)
    assert chosen([sure, hardly_surer], tolerance, outlook([sure, hardly_surer], FLOAT_POINTS)) is sure


def test_images_that_flatter_do_not_spare_the_sparing() -> None:
    """Measured on YOLOv5n: all in INT8 seems to gain half a point on 150 images, and loses 1.4 on others."""
    all_int8, few_float = option(-0.5, 1.0, 0.934), option(0.1, 0.951, 0.97)
    expected = outlook([all_int8, few_float], FLOAT_POINTS)
    assert chosen([all_int8, few_float], Tolerance(0.5, 0.05), expected) is few_float
    assert chosen([all_int8, few_float], Tolerance(1.0, 0.05), expected) is all_int8


def test_where_no_float_is_tolerated_only_the_loss_counts() -> None:
    found = [option(0.2, agreement=0.97), option(0.1, agreement=0.96)]
    assert chosen(found, Tolerance(2.0, 0.0), OTHERS) is found[0]


@given(options)
def test_what_is_expected_lies_between_others_and_here(found: list[ScoredRecipe[Recipe]]) -> None:
    expected = outlook(found, FLOAT_POINTS)
    assert 0 <= expected.spread <= OTHERS.spread
    assert expected.slope >= 0


@given(st.floats(-1, 5), st.integers(1, 9))
def test_more_options_on_the_same_images_are_no_more_evidence(drop: float, count: int) -> None:
    one, many = (outlook([option(drop)] * n, FLOAT_POINTS) for n in (1, count))
    assert abs(one.slope - many.slope) < 1e-9
    assert abs(one.spread - many.spread) < 1e-9


def test_many_images_outweigh_other_detectors() -> None:
    exact = outlook([option(2.0, noise=1e-6)], FLOAT_POINTS)
    vague = outlook([option(2.0, noise=1e6)], FLOAT_POINTS)
    assert abs(exact.slope - 20) < 1e-3
    assert abs(vague.slope - OTHERS.slope) < 1e-3


def test_a_loss_beyond_doubt_is_believed() -> None:
    harmed = option(5.0, agreement=0.99)
    assert OTHERS.expected(harmed) == 4.1
    assert OTHERS.at_most(harmed) == 4.1


def test_images_differ_by_as_much_as_they_did_here() -> None:
    quiet, noisy = option(0.2, agreement=0.97, noise=0.1), option(0.2, agreement=0.97, noise=1.5)
    assert OTHERS.expected(quiet) == OTHERS.expected(noisy)
    assert OTHERS.at_most(quiet) < OTHERS.at_most(noisy)


def test_a_model_that_agrees_in_everything_loses_nothing() -> None:
    same = [option(0.0, agreement=1.0, noise=0.0)]
    assert outlook(same, FLOAT_POINTS).at_most(same[0]) == 0
    assert outlook(same, 0.0).at_most(same[0]) == 0


@given(options)
def test_nothing_on_the_front_is_beaten_and_all_else_is(found: list[ScoredRecipe[Recipe]]) -> None:
    expected = outlook(found, FLOAT_POINTS)
    front = pareto_front(found, expected)
    for o in found:
        beaten = any(
            p.int8_share >= o.int8_share and expected.expected(p) <= expected.expected(o) and p is not o
            for p in front
        )
        assert beaten or o in front
    shares = [o.int8_share for o in front]
    losses = [expected.expected(o) for o in front]
    assert shares == sorted(set(shares), reverse=True)
    assert losses == sorted(set(losses), reverse=True)

from pathlib import Path

import numpy as np
import pytest
from small_net import CHANNELS, small_net

from calibrant.graph.model import Model
from calibrant.stages.diagnosis.facts import TensorFacts, equalizing_bits, facts_of


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return small_net(tmp_path)


def fact(model: Model, tensor: str) -> TensorFacts:
    return facts_of(model, [tensor])[tensor]


def test_what_only_moves_the_input_is_the_input(model: Model) -> None:
    assert fact(model, "x").is_input
    assert fact(model, "doubled").is_input
    assert not fact(model, "stemmed").is_input


def test_silu_is_recognised_by_its_own_sigmoid(model: Model) -> None:
    assert fact(model, "gated").is_gated
    assert not fact(model, "stemmed").is_gated
    assert not fact(model, "gate").is_gated


def test_a_concat_names_its_parts_with_their_channels(model: Model) -> None:
    assert fact(model, "joined").parts == (("gated", CHANNELS), ("deep", CHANNELS))
    assert fact(model, "gated").parts == ()


def test_readers_are_told_by_what_they_do(model: Model) -> None:
    assert fact(model, "gated").depthwise_readers == ("deep",)
    assert fact(model, "joined").head_readers == ("head",)
    assert fact(model, "joined").depthwise_readers == ()
    assert fact(model, "doubled").head_readers == ()


def test_equal_channels_cost_no_bits_and_large_weights_on_small_channels_many(model: Model) -> None:
    known = fact(model, "gated")
    even = np.ones(CHANNELS, np.float32)
    uneven = np.array([0.01, 1, 1, 1], np.float32)
    assert equalizing_bits(model, known, even) == pytest.approx(0, abs=1e-6)
    assert equalizing_bits(model, known, uneven) > 4
    assert equalizing_bits(model, fact(model, "joined"), np.ones(8, np.float32)) == 0

from pathlib import Path

import pytest
from small_net import small_net

from calibrant.core.schemes import ONNXRUNTIME, TENSORRT
from calibrant.models.onnx.points import QuantPoints, quant_points
from calibrant.stages.diagnosis.subsets import layers_of, only, tensors_read, without


@pytest.fixture(params=[TENSORRT, ONNXRUNTIME], ids=lambda scheme: scheme.name)
def plan(request: pytest.FixtureRequest, tmp_path: Path) -> QuantPoints:
    return quant_points(small_net(tmp_path), request.param)


def test_layers_come_in_order_of_the_network(plan: QuantPoints) -> None:
    assert layers_of(plan) == ("stem", "deep", "head")


def test_one_layer_by_itself_reads_only_its_own_pairs(plan: QuantPoints) -> None:
    alone = only(plan, "deep")
    assert [weight.node for weight in alone.weights] == ["deep"]
    assert [point.tensor for point in alone.activations] == list(tensors_read(plan, "deep")) == ["gated"]
    assert alone.activations[0].consumers == (("deep", 0),)


def test_all_but_one_layer_leaves_its_inputs_alone_too(plan: QuantPoints) -> None:
    rest = without(plan, {"deep"})
    assert layers_of(rest) == ("stem", "head")
    assert all(reader != "deep" for point in rest.activations for reader, _ in point.consumers)
    assert "deep" in rest.kept_float


def test_one_layer_and_all_but_it_make_the_whole(plan: QuantPoints) -> None:
    for node in layers_of(plan):
        alone, rest = only(plan, node), without(plan, {node})
        assert {*alone.weights, *rest.weights} == {*plan.weights}
        uses = {(p.tensor, use) for part in (alone, rest) for p in part.activations for use in p.consumers}
        assert uses == {(p.tensor, use) for p in plan.activations for use in p.consumers}

"""Every rule finds what it is for, and nothing where its thresholds are not met."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from calibrant.models.onnx.tensor_facts import TensorFacts
from calibrant.studies.diagnosis import rules
from calibrant.studies.diagnosis.result import LayerSensitivity, Peaks, RangeError, TensorDiagnosis
from calibrant.studies.diagnosis.rules import Evidence, Found

PEAKS = Peaks("7.jpg", "/images/7.jpg", 3, 9.0, 1.0, 64, 9.0, 1.0)


def error(calibrator: str, amax: float = 10.0, **more: Any) -> RangeError:
    ratio = more.pop("ratio", amax / 10)
    return replace(RangeError(calibrator, -amax, amax, ratio, 0.0, 0.0, 30.0, None, 30.0, 0.1), **more)


def evidence(low: float = -10.0, high: float = 10.0, tail: float = 1.5, **more: Any) -> Evidence:
    errors = more.pop("errors", (error("minmax"), error("entropy2", 5.0)))
    tensor = TensorDiagnosis(
        "t", "n", ("reader",), 1000, low, high, 3.0, tail, more.pop("peaks", PEAKS), errors
    )
    return Evidence(tensor, **{"samples": 100, "losing": "minmax", "winning": "entropy2", **more})


def test_an_even_tensor_has_no_cause() -> None:
    assert rules.findings(evidence()) == []


def found_by(rule: Any, seen: Evidence) -> Found:
    found = rule(seen)
    assert found is not None
    assert isinstance(found, Found)
    return found


# --- outliers ---


RARE = replace(PEAKS, typical_sample=2.0, samples_above_half=0.02)


def test_few_images_that_exceed_all_others() -> None:
    found = found_by(rules.few_sample_outlier, evidence(peaks=RARE))
    assert "2 of 100 calibration samples" in found.text
    assert "'7.jpg'" in found.text
    assert found.calibrators == ("minmax",)


@pytest.mark.parametrize(
    "seen",
    [
        evidence(peaks=replace(RARE, samples_above_half=0.06)),
        evidence(peaks=replace(RARE, typical_sample=5.1)),
        evidence(peaks=RARE, samples=15),
        evidence(peaks=None),
    ],
)
def test_no_outlier_image(seen: Evidence) -> None:
    assert rules.few_sample_outlier(seen) is None


LOUD = replace(PEAKS, typical_channel=1.0, channels_above_half=1 / 64)


def test_a_channel_that_exceeds_all_others() -> None:
    found = found_by(rules.channel_outlier, evidence(peaks=LOUD))
    assert "1 of 64 channels, first of all channel 3" in found.text
    assert found.calibrators == ("minmax", "entropy2")


@pytest.mark.parametrize(
    "peaks",
    [
        replace(LOUD, channels_above_half=4 / 64),
        replace(LOUD, typical_channel=1.3),
        replace(LOUD, channels=3, channels_above_half=1 / 3),
        None,
    ],
)
def test_no_outlier_channel(peaks: Peaks | None) -> None:
    assert rules.channel_outlier(evidence(peaks=peaks)) is None


def test_a_depthwise_convolution_that_one_scale_costs_a_bit() -> None:
    facts = TensorFacts(depthwise_readers=("deep",))
    found = found_by(rules.depthwise_outlier, evidence(facts=facts, equalizing_bits=2.4))
    assert found.kind == "channel-outlier"
    assert found.nodes == ("deep",)
    assert "2.4 of 8 bits" in found.text
    assert rules.depthwise_outlier(evidence(facts=facts, equalizing_bits=0.9)) is None
    assert rules.depthwise_outlier(evidence(facts=facts, equalizing_bits=2.4, peaks=None)) is None


def test_an_outlier_channel_is_told_once() -> None:
    seen = evidence(peaks=LOUD, equalizing_bits=2.0, tail=9.0)
    assert [found.title for found in rules.findings(seen)] == [
        "An outlier channel before a depthwise convolution"
    ]


# --- what the graph joins ---


JOINED = TensorFacts(parts=(("boxes", 4), ("scores", 2)))


def amax(*channels: float) -> np.ndarray[Any, Any]:
    return np.array(channels, np.float32)


def test_boxes_and_scores_share_one_scale() -> None:
    seen = evidence(facts=JOINED, channel_amax=amax(600, 500, 80, 90, 1, 0.5))
    found = found_by(rules.shared_scale, seen)
    assert "'boxes' reaches 600, 'scores' only 1" in found.text


@pytest.mark.parametrize("channels", [amax(7, 5, 3, 2, 1, 0.5), amax(600, 1, 1, 1, 0, 0), amax(600, 1), None])
def test_parts_alike_zero_or_unknown_share_nothing(channels: np.ndarray[Any, Any] | None) -> None:
    assert rules.shared_scale(evidence(facts=JOINED, channel_amax=channels)) is None


def test_raw_pixels() -> None:
    errors = (error("minmax", 255.0, dead_levels=0.5),)
    found = found_by(rules.raw_input, evidence(0.0, 255.0, facts=TensorFacts(is_input=True), errors=errors))
    assert "from 0 to 255" in found.text


@pytest.mark.parametrize(
    ("low", "high", "is_input", "dead"),
    [(0, 1, True, 0.5), (-2.1, 255, True, 0.5), (0, 255, False, 0.5), (0, 255, True, 0.1)],
)
def test_scaled_or_asymmetric_inputs_are_no_raw_pixels(
    low: float, high: float, is_input: bool, dead: float
) -> None:
    errors = (error("minmax", high, dead_levels=dead),)
    assert rules.raw_input(evidence(low, high, facts=TensorFacts(is_input=is_input), errors=errors)) is None


GATED = TensorFacts(is_gated=True)


def test_small_negatives_of_silu() -> None:
    errors = (error("minmax", 20.0, dead_levels=0.5), error("entropy2", 4.0, dead_levels=0.45))
    found = found_by(rules.small_negatives, evidence(-0.278, 20.0, facts=GATED, errors=errors))
    assert found.calibrators == ("minmax",)
    assert "1.8 steps" in found.text


@pytest.mark.parametrize(
    ("low", "facts", "dead"),
    [(-0.278, TensorFacts(), 0.5), (-3, GATED, 0.5), (0, GATED, 0.5), (-0.278, GATED, 0.3)],
)
def test_no_small_negatives(low: float, facts: TensorFacts, dead: float) -> None:
    errors = (error("minmax", 20.0, dead_levels=dead),)
    assert rules.small_negatives(evidence(low, 20.0, facts=facts, errors=errors)) is None


def test_the_head_counts_where_it_costs() -> None:
    head, dfl = TensorFacts(head_readers=("last",)), TensorFacts(dfl_readers=("dfl",))
    costly, cheap = LayerSensitivity("last", ("t",), 0.95), LayerSensitivity("last", ("t",), 0.995)
    assert found_by(rules.output_head, evidence(facts=head, layers=(costly,))).nodes == ("last",)
    assert (
        "DFL" in found_by(rules.output_head, evidence(facts=dfl, layers=(replace(costly, node="dfl"),))).text
    )
    assert rules.output_head(evidence(facts=head, layers=(cheap,))) is None
    assert rules.output_head(evidence(facts=TensorFacts(), layers=(costly,))) is None


def test_a_head_that_is_clipped_is_not_to_blame() -> None:
    layer = LayerSensitivity("last", ("t",), 0.5)
    seen = evidence(facts=TensorFacts(head_readers=("last",)), layers=(layer,), errors=CLIPPING)
    assert [found.kind for found in rules.findings(seen)] == ["clipped"]
    unclipped = replace(seen, losing="entropy2", winning="minmax")
    assert [found.kind for found in rules.findings(unclipped)] == ["output-head"]


def test_a_constant_tensor() -> None:
    assert found_by(rules.constant_tensor, evidence(0.0, 0.0)).kind == "constant-tensor"
    assert rules.constant_tensor(evidence(0.0, 1e-6)) is None


# --- the two candidates' ranges ---


CLIPPING = (
    error("minmax", 4.0, clipping_share=0.99, clipped=0.003, sqnr_db=12.0),
    error("entropy2", 10.0),
    error("mse", 3.0, clipping_share=0.99),
)


def test_the_losing_range_clips_too_early() -> None:
    found = found_by(rules.clipped, evidence(errors=CLIPPING))
    assert found.calibrators == ("minmax", "mse")
    assert "keeps 40% of the range and clips 0.30% of the values: SQNR 12.0 dB" in found.text


@pytest.mark.parametrize(
    "errors",
    [
        (replace(CLIPPING[0], clipping_share=0.5), CLIPPING[1]),
        (CLIPPING[0], error("entropy2", 4.2)),
        (error("minmax"), replace(CLIPPING[0], calibrator="entropy2")),
        (error("minmax"),),
    ],
)
def test_the_losing_range_does_not_clip_too_early(errors: tuple[RangeError, ...]) -> None:
    assert rules.clipped(evidence(errors=errors)) is None


def test_a_long_tail_makes_the_losing_steps_coarse() -> None:
    found = found_by(rules.coarse, evidence(tail=8.0))
    assert found.calibrators == ("minmax",)
    assert "minmax leaves 16 of 127 steps" in found.text


@pytest.mark.parametrize(
    ("tail", "amax"),
    [(3.0, 5.0), (8.0, 8.0)],
)
def test_a_short_tail_or_a_range_alike_is_not_coarse(tail: float, amax: float) -> None:
    errors = (error("minmax"), error("entropy2", amax))
    assert rules.coarse(evidence(tail=tail, errors=errors)) is None

"""How nvinfer is told to prepare its input."""

from __future__ import annotations

import pytest

from calibrant.core.errors import SettingsError
from calibrant.targets.deepstream import nvinfer_configuration


def configured(**preparation: object) -> dict[str, str]:
    text = nvinfer_configuration("m.onnx", "c.cache", "m.engine", (1, 3, 4, 6), preparation, ["a", "b"])
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_scale_and_offsets_do_what_the_profile_says() -> None:
    settings = configured(divide=255.0, mean=(0.5, 0.25, 0.125), std=(0.5, 0.5, 0.5), colour="bgr")
    scale = float(settings["net-scale-factor"])
    offsets = [float(offset) for offset in settings["offsets"].split(";")]
    value = 200.0
    for offset, mean in zip(offsets, (0.5, 0.25, 0.125), strict=True):
        assert scale * (value - offset) == pytest.approx((value / 255 - mean) / 0.5, rel=1e-6)
    assert (settings["model-color-format"], settings["infer-dims"]) == ("1", "3;4;6")


@pytest.mark.parametrize(
    ("preparation", "keys"),
    [
        ({"resize": "letterbox", "align": "centre"}, ("1", "1")),
        ({"resize": "letterbox", "align": "top-left"}, ("1", "0")),
        ({"resize": "stretch", "align": "centre"}, ("0", "0")),
    ],
)
def test_padding_lies_where_the_profile_puts_it(preparation: dict[str, str], keys: tuple[str, str]) -> None:
    settings = configured(**preparation)
    assert (settings["maintain-aspect-ratio"], settings["symmetric-padding"]) == keys


def test_a_scale_for_each_channel_is_refused() -> None:
    with pytest.raises(SettingsError, match="one number"):
        configured(divide=255.0, mean=(0.4, 0.4, 0.4), std=(0.2, 0.3, 0.2))

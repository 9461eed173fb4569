from __future__ import annotations

from importlib.metadata import EntryPoint

import numpy as np
import pytest

from calibrant.calibrators import DEFAULT_CALIBRATORS, calibrator_named, calibrators_named, registry
from calibrant.core.errors import SettingsError
from calibrant.core.statistics import TensorStatistics, statistics_of
from calibrant.core.types import QuantSpec, Range


def half(stats: TensorStatistics, spec: QuantSpec) -> Range:
    return Range(-stats.amax / 2, stats.amax / 2)


def test_every_default_is_known_and_has_its_own_file() -> None:
    entries = calibrators_named(",".join(DEFAULT_CALIBRATORS))
    assert [entry.name for entry in entries] == list(DEFAULT_CALIBRATORS)
    assert len({entry.file_stem for entry in entries}) == len(entries)
    assert not any(set(entry.file_stem) & set(':|/\\ "') for entry in entries)


def test_bars_stand_for_one_each() -> None:
    names = [entry.name for entry in calibrators_named("minmax, percentile:99.9|99.99|99.999")]
    assert names == ["minmax", "percentile:99.9", "percentile:99.99", "percentile:99.999"]


def test_minmax_is_the_simplest() -> None:
    entries = calibrators_named(",".join(DEFAULT_CALIBRATORS))
    assert min(entries, key=lambda entry: entry.simplicity).name == "minmax"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("entropi", "did you mean entropy"),
        ("xyz", "known: minmax, percentile"),
        ("percentile", r"use e\.g\. percentile:99\.99"),
        ("percentile:abc", "is no number"),
        ("percentile:nan", "keeps nothing"),
        ("minmax:3", "takes no parameter"),
        ("legacy:2", r"not in \(0, 1\]"),
        ("", "no calibrator was named"),
        (",,", "no calibrator was named"),
        ("minmax,minmax", "named twice"),
    ],
)
def test_mistakes_get_a_remedy(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        calibrators_named(text)


def test_a_package_can_bring_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    found = EntryPoint("half", f"{__name__}:half", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [found])
    entry = calibrator_named("half")
    assert entry.calibrate(statistics_of(np.ones(3, np.float32)), QuantSpec()).amax == 0.5


def test_a_package_that_does_not_load_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = EntryPoint("broken", "no_such_module_anywhere:x", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [found])
    with pytest.raises(SettingsError, match=r"'broken'.*does not load"):
        calibrator_named("broken")

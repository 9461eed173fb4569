"""The short answer of a run, in at most three sentences."""

from __future__ import annotations

from calibrant.reports.material import Material
from calibrant.reports.words import interval, shown
from calibrant.studies.other_floats import worth_of_int8
from calibrant.studies.placements import placements_in_words


def headline(material: Material) -> str:
    """What to deploy, in a few words."""
    if material.recommended is not None:
        return f"Use {material.recommended.calibrator}"
    return "Nothing to recommend" if material.study.was_measured else "No candidate could be measured"


def verdict(material: Material) -> tuple[str, ...]:
    """What to deploy, and why the others lose: from the diagnosis where there is one."""
    study = material.study
    chosen = study.recommended
    if chosen is None:
        why_not = (_sentence(study.unrecommended),) if study.unrecommended else ()
        return (*why_not, *(f"{trial.calibrator}: {trial.reason}." for trial in material.failed[:3]))
    first = _sentence(chosen.reason)
    if material.diagnosis is not None and material.diagnosis.verdict:
        return (first, *_on_tensorrt(material), *material.diagnosis.verdict[:2])
    rest = (*_of_the_losing(material), *_held_out(chosen.held_out_loss, material))
    return (first, *_on_tensorrt(material), *rest)


def _on_tensorrt(material: Material) -> tuple[str, ...]:
    told = (placements_in_words(material.study), worth_of_int8(material.study))
    return tuple(_sentence(words) for words in told if words)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _held_out(lost: float | None, material: Material) -> tuple[str, ...]:
    if lost is None:
        return ()
    metric, samples = material.metric, material.words.samples
    return (
        f"Choosing on one half of the test {samples} and measuring on the other {metric.change(lost)}: "
        "expect as "
        f"much on {samples} that nobody has seen yet.",
    )


def _of_the_losing(material: Material) -> tuple[str, ...]:
    trial = material.run.trial(material.losing) if material.losing else None
    if trial is None or trial.loss is None:
        return ()
    lost, metric = trial.loss, material.metric
    verb = "loses" if lost.value >= 0 else "gains"
    amount = " ".join(filter(None, [shown(abs(lost.value), metric), metric.unit]))
    return (
        f"The worst candidate, {trial.calibrator}, {verb} {amount} "
        f"(95 % interval of the loss {interval(lost.low, lost.high, metric)}).",
    )

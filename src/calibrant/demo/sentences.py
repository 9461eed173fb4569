# ruff: noqa: RUF001  (the letters of the phonetic alphabet look like others)
"""Sentences for a voice to speak, put together from words whose phonemes are known (espeak-ng's, en-us)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from calibrant.artifacts.store import write_bytes
from calibrant.core.reading import read_text
from calibrant.demo.model import VOICE, demo_model
from calibrant.demo.render import DemoData, require_drawable

MADE_SENTENCES = "made-up sentences, spoken by a synthetic voice: nobody said them, and a network judges them"

_ADJECTIVES = {
    "old": "ˈoʊld", "red": "ɹˈɛd", "quiet": "kwˈaɪət", "heavy": "hˈɛvi", "broken": "bɹˈoʊkən",
    "golden": "ɡˈoʊldən", "little": "lˈɪɾəl", "distant": "dˈɪstənt", "gentle": "dʒˈɛntəl",
    "hungry": "hˈʌŋɡɹi",
}  # fmt: skip
_NOUNS = {
    "river": "ɹˈɪvɚ", "garden": "ɡˈɑːɹdən", "captain": "kˈæptɪn", "window": "wˈɪndoʊ", "morning": "mˈɔːɹnɪŋ",
    "engine": "ˈɛndʒɪn", "mountain": "mˈaʊntɪn", "doctor": "dˈɑːktɚ", "kitchen": "kˈɪtʃən",
    "sparrow": "spˈæɹoʊ", "letter": "lˈɛɾɚ", "bridge": "bɹˈɪdʒ",
}  # fmt: skip
_VERBS = {
    "waited": "wˈeɪɾᵻd", "stood": "stˈʊd", "turned": "tˈɜːnd", "listened": "lˈɪsənd",
    "vanished": "vˈænɪʃt", "settled": "sˈɛɾəld", "wandered": "wˈɔndɚd", "trembled": "tɹˈɛmbəld",
}  # fmt: skip
_PLACES = {
    "behind": "bᵻhˈaɪnd", "beside": "bᵻsˈaɪd", "under": "ˈʌndɚ", "before": "bᵻfˈoːɹ",
    "against": "ɐɡˈɛnst", "beyond": "bᵻjˈɔnd",
}  # fmt: skip
_THE = {"the": "ðə"}
_ORDER = (_THE, _ADJECTIVES, _NOUNS, _VERBS, _PLACES, _THE, _ADJECTIVES, _NOUNS)
# The second word of a sentence's seed; the other demos' samples have 0 to 3.
_STREAMS = {"calibration": 4, "test": 5}


def write_sentences(folder: Path, *, test: int, calibration: int, seed: int) -> DemoData:
    """Write ``calibration.jsonl`` and ``test.jsonl`` for the demo's voice; no sentence is in both.

    Raises SettingsError for a count below 1, a negative seed or where the voice's package is not installed,
    and OutputError.
    """
    require_drawable(test, calibration, seed, "sentences")
    voice = demo_model(VOICE)
    numbers = json.loads(read_text(voice.with_name(f"{voice.name}.json")))["phoneme_id_map"]
    data = DemoData(folder / "calibration.jsonl", folder / "test.jsonl")
    seen: set[str] = set()
    for name, path, count in (("calibration", data.calibration, calibration), ("test", data.dataset, test)):
        lines: list[str] = []
        rng = np.random.default_rng([seed, _STREAMS[name]])
        while len(lines) < count:
            words = [str(rng.choice(list(group))) for group in _ORDER]
            text = " ".join(words)
            if text not in seen:
                seen.add(text)
                spoken = " ".join(group[word] for group, word in zip(_ORDER, words, strict=True))
                row = {
                    "id": f"{name}-{len(lines):03}",
                    "text": text,
                    "phoneme_ids": _numbers(spoken, numbers),
                }
                lines.append(json.dumps(row))
        write_bytes(path, ("\n".join(lines) + "\n").encode())
    return data


def _numbers(spoken: str, numbers: Mapping[str, list[int]]) -> list[int]:
    """As Piper makes them: begin, each phoneme with a blank behind it, end."""
    found = [*numbers["^"], *numbers["_"]]
    for phoneme in f"{spoken}.":
        found += [*numbers.get(phoneme, ()), *(numbers["_"] if phoneme in numbers else ())]
    return [*found, *numbers["$"]]

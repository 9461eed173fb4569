"""Pages to try readers of pages on: English sentences in many fonts, turned a little, with noise and JPEG.

apt install wordnet-base fonts-dejavu
python benchmarks/pages_data.py OUT

OUT gets calib/ and test/, each with images and Label.txt as PaddleOCR writes labels. The sentences are
examples of WordNet's; the same seed draws the same pages.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from speech_data import sentences

WIDTH, HEIGHT = 960, 720
FONTS = "/usr/share/fonts/truetype/dejavu/DejaVuS*.ttf"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--calib", type=int, default=8)
    parser.add_argument("--test", type=int, default=40)
    parser.add_argument("--lines", type=int, default=9)
    given = parser.parse_args()
    texts = iter(sentences((given.calib + given.test) * given.lines))
    for name, count in (("calib", given.calib), ("test", given.test)):
        (given.out / name).mkdir(parents=True, exist_ok=True)
        labels = []
        for number in range(count):
            rng = np.random.default_rng([number, count])
            lines = [next(texts)[:48] for _ in range(given.lines)]
            page, regions = drawn(lines, rng)
            file = f"{name}-{number:03}.jpg"
            cv2.imwrite(
                str(given.out / name / file), page, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 90))]
            )
            labels.append(f"{file}\t{json.dumps(regions)}")
        (given.out / name / "Label.txt").write_text("\n".join(labels) + "\n")
        print(name, count)


def drawn(lines: list[str], rng: np.random.Generator) -> tuple[np.ndarray, list[dict[str, object]]]:
    """A page, and its regions in PaddleOCR's form."""
    paper, ink = int(rng.integers(200, 256)), int(rng.integers(0, 90))
    image = Image.new("L", (WIDTH, HEIGHT), paper)
    draw = ImageDraw.Draw(image)
    fonts = sorted(Path("/").glob(FONTS[1:]))
    boxes = []
    step = HEIGHT // (len(lines) + 1)
    for number, text in enumerate(lines):
        font = ImageFont.truetype(str(fonts[rng.integers(len(fonts))]), int(rng.integers(15, 30)))
        while draw.textlength(text, font=font) > WIDTH - 120:
            text = text.rsplit(" ", 1)[0]
        at = (int(rng.integers(20, 60)), step * (number + 1) - 20)
        draw.text(at, text, font=font, fill=ink)
        boxes.append((text, draw.textbbox(at, text, font=font)))
    turn = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), float(rng.uniform(-3, 3)), 1.0)
    page = cv2.warpAffine(np.array(image), turn, (WIDTH, HEIGHT), borderValue=paper)
    page = cv2.GaussianBlur(page, (0, 0), float(rng.uniform(0.3, 1.1)))
    noisy = page + rng.normal(0, rng.uniform(2, 14), page.shape)
    regions = []
    for text, (left, top, right, bottom) in boxes:
        corners = np.array([[left, top, 1], [right, top, 1], [right, bottom, 1], [left, bottom, 1]]) @ turn.T
        regions.append({"transcription": text, "points": corners.round().astype(int).tolist()})
    return cv2.cvtColor(noisy.clip(0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR), regions


if __name__ == "__main__":
    main()

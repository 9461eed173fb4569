"""One synthetic image of a line of text: words, amounts, dates; some are coarse, soft, turned or noisy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from calibrant.demo.glyphs import FACES

_Canvas: TypeAlias = NDArray[np.float32]  # (height, width, 3), BGR, 0..255

_SIZES, _MARGINS = (22, 44), (4, 9)
_LIGHT, _DARK = (120, 255), (0, 90)
_INVERTED_SHARE = 0.25
_HARM_SHARE = 0.5
_COARSENESS, _SOFTNESS, _CONTRASTS, _NOISE, _MOST_DEGREES = (0.3, 0.6), (0.5, 2.0), (0.3, 1.0), (2, 25), 2.0

_VOCABULARY = """
able about above account address after again agreement all also amount and another any are arrives as at
balance because been before below between board book both bring building but by call card carry center
certain change charge city clear close code color company complete condition contact copy could country
course credit customer date day deliver department design detail document does door during each early east
either end enough even every example express fax figure file final first five follow for form forward found
four free from full further garden general give goods great ground group half hand have head hear help here
high home hour house how hundred idea if in include income invoice item job journey June just keep kind know
large last later law learn leave left letter level license light like limit line list little local long made
mail main make manager March market may measure member might mile minute money month more most move much
must name nature near network never new next night north note number object October of off office often old
one only open order other our out over own page paper park part pay people percent place plan please point
power present press price print private product public quality quantity question quick rate read receipt
record reference region report rest result return right river road room safe sale same save school second
section see sell sent September service set several shall sheet ship short should show side sign since six
small some sound south special square standard start state station still store street study such sum supply
support system table take tax team telephone ten terms than thank that the their them then there these they
thing this those three through ticket time title today together total town trade train travel tree true turn
two type under unit until upon use value very view visit voice warranty water way week weight well west what
when where which while white whole will window with within without word work world would write year yellow
yes yet you young your zero zone
"""


@dataclass(frozen=True, eq=False)
class Line:
    """An image, uint8 (height, width, 3) in BGR, and what is written in it."""

    image: NDArray[np.uint8]
    text: str


def drawn_line(rng: np.random.Generator) -> Line:
    """Draw one line of text in one face and two colours."""
    text = _text(rng)
    face = FACES[int(rng.integers(len(FACES)))]
    mask = face(text, int(rng.integers(*_SIZES, endpoint=True)))
    coverage = np.pad(mask, int(rng.integers(*_MARGINS))).astype(np.float32)[..., None] / 255
    behind, ink = (rng.uniform(*limits, 3).astype(np.float32) for limits in (_LIGHT, _DARK))
    if rng.random() < _INVERTED_SHARE:
        behind, ink = ink, behind
    return Line(_harmed(rng, behind + coverage * (ink - behind)), text)


def _text(rng: np.random.Generator) -> str:
    kind = rng.random()
    if kind < 0.15:
        return f"{_one(rng, 'Total Tax Sum Price')}: ${rng.integers(1, 99999):,}.{rng.integers(100):02d}"
    if kind < 0.3:
        day = f"{rng.integers(1, 29):02d}/{rng.integers(1, 13):02d}/20{rng.integers(10, 30)}"
        return f"{day} No. {rng.integers(1000, 99999)}{_one(rng, 'A B C X Y Z')}"
    words = [_one(rng, _VOCABULARY) for _ in range(rng.integers(2, 6))]
    return " ".join([words[0].capitalize(), *words[1:]]) + _one(rng, "; , . : .").strip()


def _one(rng: np.random.Generator, of: str) -> str:
    choices = of.split()
    return choices[int(rng.integers(len(choices)))]


def _harmed(rng: np.random.Generator, canvas: _Canvas) -> NDArray[np.uint8]:
    height, width = canvas.shape[:2]
    if rng.random() < _HARM_SHARE:
        share = rng.uniform(*_COARSENESS)
        small = cv2.resize(canvas, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        canvas = np.asarray(cv2.resize(small, (width, height)), np.float32)
    if rng.random() < _HARM_SHARE:
        canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), rng.uniform(*_SOFTNESS)), np.float32)
    if rng.random() < _HARM_SHARE:
        turn = cv2.getRotationMatrix2D(
            (width / 2, height / 2), rng.uniform(-_MOST_DEGREES, _MOST_DEGREES), 1.0
        )
        turned = cv2.warpAffine(canvas, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
        canvas = np.asarray(turned, np.float32)
    canvas = (canvas - 128) * np.float32(rng.uniform(*_CONTRASTS)) + 128
    canvas = canvas + rng.normal(0, rng.uniform(*_NOISE), canvas.shape).astype(np.float32)
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)

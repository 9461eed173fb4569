"""Train a small segmenter on drawn shapes: something that quantization has something real to lose of.

    python benchmarks/drawn_shapes.py FOLDER

FOLDER gets images/ and masks/ (train and val, four classes: ground, disc, square, triangle) and
segmenter.onnx. Then

    calibrant study FOLDER/segmenter.onnx --calib FOLDER --data FOLDER

Needs torch. Everything is drawn from one seed; results differ in the last digits between machines.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

SIDE, CLASSES, TRAIN, TEST = 96, ("ground", "disc", "square", "triangle"), 64, 96
STEPS, BATCH = 120, 8


def drawn(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image (BGR) of one to five shapes on textured ground, under its own light, and its mask."""
    ground = rng.integers(20, 120, 3)
    image = np.clip(rng.normal(ground, 18, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    for _ in range(int(rng.integers(1, 6))):
        kind, size = int(rng.integers(1, 4)), int(rng.integers(8, 22))
        x, y = (int(value) for value in rng.integers(size, SIDE - size, 2))
        turn = rng.uniform(0, 2 * np.pi)
        corners = {1: 40, 2: 4, 3: 3}[kind]
        angles = turn + np.arange(corners) * 2 * np.pi / corners
        outline = np.stack([x + size * np.cos(angles), y + size * np.sin(angles)], 1).round().astype(np.int32)
        colour = [int(value) for value in rng.integers(90, 256, 3)]
        cv2.fillPoly(image, [outline], colour)
        cv2.fillPoly(mask, [outline], kind)
    light = rng.uniform(0.35, 1.0)
    noisy = np.clip(rng.normal(image * light, 9), 0, 255).astype(np.uint8)
    return noisy, mask


class Segmenter(nn.Module):
    """Three halvings with depthwise convolutions, and a way back that adds what was before each."""

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 32, 64, 96)
        self.first = _block(3, widths[0], 1)
        self.down = nn.ModuleList([_separable(a, b) for a, b in pairwise(widths)])
        self.side = nn.ModuleList([nn.Conv2d(width, 32, 1) for width in widths])
        self.last = nn.Sequential(_block(32, 32, 1), nn.Conv2d(32, len(CLASSES), 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Scores (N, C, H, W) of images (N, 3, H, W)."""
        levels = [self.first(image)]
        for step in self.down:
            levels.append(step(levels[-1]))
        found = self.side[-1](levels[-1])
        for level, side in zip(levels[-2::-1], list(self.side)[-2::-1], strict=True):
            found = nn.functional.interpolate(found, scale_factor=2.0, mode="nearest") + side(level)
        scores: torch.Tensor = self.last(found)
        return scores


def _block(given: int, width: int, stride: int, groups: int = 1, kernel: int = 3) -> nn.Sequential:
    convolution = nn.Conv2d(given, width, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.Hardswish())


def _separable(given: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        _block(given, given, 2, given), _block(given, width, 1, kernel=1), _block(width, width, 1, width)
    )


def tensor_of(images: list[NDArray[np.uint8]]) -> torch.Tensor:
    """As torchvision prepares images."""
    values = np.stack(images)[..., ::-1].astype(np.float32) / 255
    mean, std = np.array((0.485, 0.456, 0.406), np.float32), np.array((0.229, 0.224, 0.225), np.float32)
    return torch.from_numpy(np.ascontiguousarray(((values - mean) / std).transpose(0, 3, 1, 2)))


def trained(seed: int) -> Segmenter:
    """The segmenter after :data:`STEPS` steps on fresh drawings."""
    torch.manual_seed(seed)
    rng, model = np.random.default_rng(seed), Segmenter()
    steps = torch.optim.AdamW(model.parameters(), 4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(steps, 8e-3, STEPS)
    for step in range(STEPS):
        images, masks = zip(*(drawn(rng) for _ in range(BATCH)), strict=True)
        wanted = torch.from_numpy(np.stack(masks).astype(np.int64))
        error = nn.functional.cross_entropy(model(tensor_of(list(images))), wanted)
        steps.zero_grad()
        error.backward()
        steps.step()
        schedule.step()
        if step % 20 == 19:
            print(f"step {step + 1}: cross entropy {error.item():.3f}", flush=True)
    return model.eval()


def write_set(folder: Path, split: str, count: int, seed: int) -> None:
    """Images and masks of one split."""
    rng = np.random.default_rng(seed)
    for name in ("images", "masks"):
        (folder / name / split).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        for name, picture in zip(("images", "masks"), drawn(rng), strict=True):
            cv2.imwrite(str(folder / name / split / f"{index:04d}.png"), picture)


def exported(model: nn.Module, path: Path) -> None:
    """The ONNX file, its metadata with the classes' names."""
    import onnx

    example: Any = (torch.zeros(1, 3, SIDE, SIDE),)
    torch.onnx.export(
        model,
        example,
        str(path),
        input_names=["image"],
        output_names=["scores"],
        opset_version=13,
        dynamo=False,
    )
    written = onnx.load(str(path))
    onnx.helper.set_model_props(written, {"names": str(dict(enumerate(CLASSES)))})
    onnx.save(written, str(path))


def main() -> None:
    """Draw, train and export."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    write_set(given.folder, "train", TRAIN, 1)
    write_set(given.folder, "val", TEST, 2)
    exported(trained(0), given.folder / "segmenter.onnx")


if __name__ == "__main__":
    main()

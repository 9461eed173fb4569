"""Loops over boxes: reference of the compiled kernels beside, and what stands in for them."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True, error_model="numpy")
def bits_below_best(scores: NDArray[np.float32], most: int) -> int:
    """The bits of a positive float that ``most`` of the scores (N,) reach, and few others.

    0 where not so many are positive. Positive floats are ordered as their bits are, so the upper halves of
    these are counted.
    """
    bits = scores.view(np.uint32)
    counts = np.zeros(1 << 15, np.int64)
    for index in range(len(scores)):
        if scores[index] > 0:
            counts[bits[index] >> np.uint32(16)] += 1
    reached = 0
    for upper in range(len(counts) - 1, -1, -1):
        reached += counts[upper]
        if reached >= most:
            return upper << 16
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def greedily_kept(
    boxes: NDArray[np.float32], classes: NDArray[np.int64], class_count: int, iou: np.float32, most: int
) -> NDArray[np.int64]:
    """Indices of the boxes (N, 4), best first, that no kept box of their class overlaps above ``iou``."""
    kept = np.empty(min(most, len(boxes)), np.int64)
    # For each class a chain through its kept boxes: the newest, and before each the one kept earlier.
    newest = np.full(class_count, -1, np.int64)
    earlier = np.empty(len(kept), np.int64)
    count = 0
    for index in range(len(boxes)):
        if count == len(kept):
            break
        link = newest[classes[index]]
        while link >= 0 and not _overlap(boxes[kept[link]], boxes[index], iou):
            link = earlier[link]
        if link < 0:
            kept[count] = index
            earlier[count] = newest[classes[index]]
            newest[classes[index]] = count
            count += 1
    return kept[:count]


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _overlap(a: NDArray[np.float32], b: NDArray[np.float32], iou: np.float32) -> bool:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if not (width > 0 and height > 0):
        return False
    shared = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return bool(shared > iou * union)


@njit(cache=True, nogil=True, error_model="numpy")
def matches(
    found: NDArray[np.float64],
    found_keys: NDArray[np.int64],
    labelled: NDArray[np.float64],
    labelled_keys: NDArray[np.int64],
    crowd: NDArray[np.bool_],
    thresholds: NDArray[np.float64],
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """COCO's greedy matching, for each key (an image and a class) and IoU threshold by itself.

    found, labelled: (N, 4) left, top, width, height, sorted by key; in each key the best detection first and
    the crowds last. Gives two bit masks for each detection: matched, and matched with a crowd.
    """
    matched = np.zeros(len(found), np.uint16)
    ignored = np.zeros(len(found), np.uint16)
    taken = np.zeros(len(labelled), np.uint16)
    first = 0
    for index in range(len(found)):
        while first < len(labelled) and labelled_keys[first] < found_keys[index]:
            first += 1
        last = first
        while last < len(labelled) and labelled_keys[last] == found_keys[index]:
            last += 1
        if first == last:
            continue
        overlaps = np.empty(last - first)
        for other in range(first, last):
            overlaps[other - first] = _coco_overlap(found[index], labelled[other], crowd[other])
        for step in range(len(thresholds)):
            bit = np.uint16(1 << step)
            best = _best_free(overlaps, taken[first:last], crowd[first:last], bit, thresholds[step])
            if best < 0:
                continue
            taken[first + best] |= bit
            if crowd[first + best]:
                ignored[index] |= bit
            else:
                matched[index] |= bit
    return matched, ignored


@njit(cache=True, nogil=True, error_model="numpy")
def _best_free(
    overlaps: NDArray[np.float64],
    taken: NDArray[np.uint16],
    crowd: NDArray[np.bool_],
    bit: np.uint16,
    threshold: float,
) -> int:
    """The free labelled box that overlaps most, of equals the later; a crowd only when no other does.

    Gives -1 where there is none.
    """
    best = -1
    least = min(threshold, 1 - 1e-10)
    for other in range(len(overlaps)):
        if taken[other] & bit and not crowd[other]:
            continue
        if best >= 0 and crowd[other] and not crowd[best]:
            break
        if overlaps[other] >= least:
            least = overlaps[other]
            best = other
    return best


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _coco_overlap(found: NDArray[np.float64], labelled: NDArray[np.float64], crowd: bool) -> float:
    width = min(found[0] + found[2], labelled[0] + labelled[2]) - max(found[0], labelled[0])
    height = min(found[1] + found[3], labelled[1] + labelled[3]) - max(found[1], labelled[1])
    if not (width > 0 and height > 0):
        return 0.0
    shared = width * height
    area = found[2] * found[3]
    return float(shared / (area if crowd else area + labelled[2] * labelled[3] - shared))


@njit(cache=True, nogil=True, error_model="numpy")
def weighted_mean_precision(
    weights: NDArray[np.int64],
    starts: NDArray[np.int64],
    image: NDArray[np.int32],
    matched: NDArray[np.uint16],
    ignored: NDArray[np.uint16],
    truth_image: NDArray[np.int32],
    truth_class: NDArray[np.int32],
    steps: int,
    recalls: NDArray[np.float64],
) -> NDArray[np.float64]:
    """COCO's mean average precision for each row of image weights; the arrays are those of a MatchTable."""
    classes = len(starts) - 1
    result = np.empty(len(weights))
    longest = 0
    for index in range(classes):
        longest = max(longest, starts[index + 1] - starts[index])
    recall, precision = np.empty((steps, longest)), np.empty((steps, longest))
    for row in range(len(weights)):
        truths = np.zeros(classes)
        for index in range(len(truth_image)):
            truths[truth_class[index]] += weights[row, truth_image[index]]
        total, present = 0.0, 0
        for index in range(classes):
            if truths[index] == 0:
                continue
            present += 1
            part = slice(starts[index], starts[index + 1])
            lengths = _precision_at_hits(
                weights[row], image[part], matched[part], ignored[part], truths[index], recall, precision
            )
            for step in range(steps):
                total += _interpolated(
                    recall[step, : lengths[step]], precision[step, : lengths[step]], recalls
                )
        result[row] = total / (present * steps) if present else np.nan
    return result


@njit(cache=True, nogil=True, error_model="numpy")
def _precision_at_hits(
    weights: NDArray[np.int64],
    image: NDArray[np.int32],
    matched: NDArray[np.uint16],
    ignored: NDArray[np.uint16],
    truths: float,
    recall: NDArray[np.float64],
    precision: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Recall and precision after each right detection of one class, for each IoU threshold.

    Gives how many there are for each threshold. Wrong detections need no entry: between two right ones
    recall stands still and precision falls.
    """
    steps = len(recall)
    lengths = np.zeros(steps, np.int64)
    hits, skipped = np.zeros(steps), np.zeros(steps)
    seen = 0.0
    for index in range(len(image)):
        weight = weights[np.uint32(image[index])]
        seen += weight  # first, as most detections are wrong and a third of all weights zero: one branch less
        if matched[index] | ignored[index] == 0 or weight == 0:
            continue
        for step in range(steps):
            if ignored[index] >> step & 1:
                skipped[step] += weight
            elif matched[index] >> step & 1:
                hits[step] += weight
                recall[step, lengths[step]] = hits[step] / truths
                precision[step, lengths[step]] = hits[step] / (seen - skipped[step] + 2.220446049250313e-16)
                lengths[step] += 1
    return lengths


@njit(cache=True, nogil=True, error_model="numpy")
def _interpolated(
    recall: NDArray[np.float64], precision: NDArray[np.float64], recalls: NDArray[np.float64]
) -> float:
    """Mean over ``recalls`` of the best precision at that recall or a higher one."""
    total, best = 0.0, 0.0
    reached = _reached(recall[-1], recalls) if len(recall) else 0
    for index in range(len(recall) - 1, -1, -1):
        before = _reached(recall[index - 1], recalls) if index else 0
        best = max(best, precision[index])
        total += best * (reached - before)
        reached = before
    return total / len(recalls)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _reached(recall: float, recalls: NDArray[np.float64]) -> int:
    """How many of ``recalls``, which rise from 0 to 1, are at most ``recall``."""
    count = min(int(recall * (len(recalls) - 1)) + 1, len(recalls))  # exact, where they lie evenly
    while count < len(recalls) and recalls[count] <= recall:
        count += 1
    while count > 0 and recalls[count - 1] > recall:
        count -= 1
    return count

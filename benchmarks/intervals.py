"""Coverage of the 95 % intervals, and how often two equally good models are called different: simulated.

python benchmarks/intervals.py [--trials 200] [--images 200 360 1000 2000]

Embeddings of classes in clouds around random centres: a sample of n images is drawn again and again, each time with its
intervals. The truth is the mean figure over all samples. Two models see the same images with noise of their own.
"""

import argparse
import time

import numpy as np
import torch
from scipy import stats

from triptych.metrics import retrieval_metrics
from triptych.metrics.intervals import Statistic, difference, interval, mean
from triptych.metrics.random_groups import retrieval_influences
from triptych.runs.per_image import HITS

DIMENSIONS = 8
FIGURES = ("precision_at_1", "recall_at_5", "map_at_r")


def accuracies() -> None:
    """Exact coverage of the interval of an accuracy, from the binomial distribution."""
    print("accuracy: exact coverage by number of images")
    print("|    n | " + " | ".join(f"{share:.3f}" for share in (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.997)) + " | mean |")
    for count in (200, 360, 500, 1000, 2000):
        bounds = [interval(mean(np.arange(count) < right, is_share=True)) for right in range(count + 1)]

        def coverage(share: float) -> float:
            covers = np.array([one.low <= share <= one.high for one in bounds])  # noqa: B023
            return float((covers * stats.binom.pmf(np.arange(len(bounds)), len(bounds) - 1, share)).sum())  # noqa: B023

        shown = [coverage(share) for share in (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.997)]
        average = np.mean([coverage(share) for share in np.linspace(0.5, 0.997, 200)])
        print(f"| {count:4d} | " + " | ".join(f"{value:5.3f}" for value in shown) + f" | {average:.3f} |")


def retrieval(count: int, classes: int, noise: float, trials: int) -> None:
    """Simulated coverage of the intervals of retrieval figures."""
    generator = np.random.default_rng(0)
    centres = np.random.default_rng(1).normal(size=(classes, DIMENSIONS))
    bounds: dict[str, list] = {name: [] for name in FIGURES}
    wrongly: dict[str, list[bool]] = {name: [] for name in FIGURES}
    for _ in range(trials):
        labels = generator.integers(classes, size=count)
        shared = generator.normal(size=(count, DIMENSIONS))
        found = []
        for _ in range(2):
            points = centres[labels] + noise * (0.8 * shared + 0.6 * generator.normal(size=shared.shape))
            embeddings, numbers = torch.from_numpy(points), torch.from_numpy(labels)
            figures = retrieval_metrics(embeddings, numbers, k=(5,))
            influences = retrieval_influences(embeddings, numbers, k=(5,))
            mates = int((numbers.bincount()[numbers] > 1).sum())
            found.append(
                {
                    name: Statistic(figures[name], influences[name], mates, is_share=True, counts_images=name in HITS)
                    for name in FIGURES
                }
            )
        for name in FIGURES:
            bounds[name].append(interval(found[0][name]))
            one = difference(found[0][name], found[1][name], paired=True)
            wrongly[name].append(not one.low <= 0 <= one.high)
    for name in FIGURES:
        truth = np.mean([one.estimate for one in bounds[name]])
        covered = np.mean([one.low <= truth <= one.high for one in bounds[name]])
        print(
            f"| {count:4d} | {classes:2d} | {name:14s} | {truth:.3f} | {covered:.3f} | {np.mean(wrongly[name]):.3f} |"
        )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--images", type=int, nargs="+", default=[200, 360, 1000, 2000])
    given = parser.parse_args()
    accuracies()
    print(f"\nretrieval: simulated coverage, {given.trials} samples; and equal models called different")
    print("|    n |  K | figure         | truth | coverage | called different |")
    begun = time.perf_counter()
    for count in given.images:
        for classes, noise in ((10, 0.3), (10, 0.7), (40, 0.2), (40, 0.4)):
            retrieval(count, classes, noise, given.trials)
    print(f"{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()

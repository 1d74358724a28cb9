"""Three learning curves, recorded for this project, that `lcpfn demo` forecasts.

Each is the validation accuracy, after each of 100 epochs, of a small network that learns to read scikit-learn's digits
(8 x 8 pixels) through noise: trained by SGD with momentum on one half of the images, with new noise in every epoch, and
judged on the 899 images of the other half. `benchmarks/data/demo.py` makes them; recorded with seed 0, Python 3.11.7,
NumPy 2.4.6, scikit-learn 1.9.1. The settings were chosen by the shape of the curves, before any forecast of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Recording:
    """One recorded curve: how many of the validation images were read correctly after each epoch."""

    about: str  # what was trained
    correct: tuple[int, ...]  # (T,)
    images: int = 899

    @property
    def accuracy(self) -> np.ndarray:
        """(T,) validation accuracy in [0, 1] after epochs 1 to T.

        >>> len(CURVES["slow"].accuracy), round(float(CURVES["slow"].accuracy[19]), 4)
        (100, 0.6218)
        """
        return np.array(self.correct) / self.images


# fmt: off
CURVES = {
    "slow": Recording(
        "hidden layers of 64 and 32, learning rate 0.002, batch 64, pixel noise 0.3",
        (
            115, 130, 148, 174, 211, 247, 268, 289, 304, 319, 339, 360, 385, 416, 445, 483, 498, 523, 536, 559, 573,
            585, 597, 603, 613, 629, 634, 642, 648, 653, 651, 658, 660, 673, 676, 682, 688, 690, 695, 698, 699, 704,
            706, 710, 710, 716, 717, 724, 726, 723, 733, 734, 733, 733, 735, 740, 738, 739, 736, 744, 741, 741, 744,
            750, 746, 745, 749, 744, 746, 748, 749, 749, 745, 752, 748, 746, 753, 750, 752, 750, 757, 755, 752, 754,
            753, 755, 755, 757, 759, 756, 763, 760, 759, 764, 758, 764, 761, 761, 758, 758,
        ),
    ),
    "fast": Recording(
        "hidden layer of 64, learning rate 0.002, batch 32, pixel noise 0.3",
        (
            113, 200, 287, 364, 423, 481, 521, 558, 606, 639, 659, 675, 686, 691, 698, 706, 706, 715, 722, 728, 731,
            729, 733, 733, 737, 739, 746, 745, 745, 741, 754, 748, 751, 757, 758, 756, 758, 762, 762, 762, 763, 761,
            767, 767, 768, 761, 764, 769, 770, 767, 768, 768, 770, 770, 769, 766, 769, 769, 773, 769, 767, 772, 768,
            771, 773, 770, 766, 768, 770, 766, 768, 772, 775, 773, 771, 771, 768, 766, 769, 769, 772, 774, 772, 772,
            772, 772, 773, 774, 773, 780, 778, 776, 775, 779, 776, 775, 778, 775, 778, 771,
        ),
    ),
    "noisy": Recording(
        "hidden layer of 64, learning rate 0.01, batch 16, pixel noise 0.5",
        (
            415, 561, 607, 623, 618, 640, 622, 636, 636, 637, 652, 650, 635, 641, 644, 655, 642, 648, 637, 639, 647,
            650, 641, 634, 631, 651, 645, 651, 651, 645, 643, 651, 647, 638, 656, 654, 659, 663, 649, 641, 666, 659,
            658, 658, 659, 646, 672, 664, 648, 668, 660, 661, 658, 662, 664, 663, 663, 675, 664, 678, 667, 674, 654,
            672, 677, 670, 667, 678, 675, 659, 681, 670, 671, 681, 668, 660, 680, 661, 663, 680, 676, 671, 679, 674,
            670, 678, 682, 674, 678, 677, 673, 676, 671, 682, 676, 689, 685, 686, 683, 672,
        ),
    ),
}
# fmt: on

"""What a network is made of: plain values that travel as JSON in a checkpoint's header."""

from __future__ import annotations

from dataclasses import dataclass

OUTCOMES = ("goes on", "exploded", "broke off")  # of a run by the asked time; the last two are divergence


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of a network; read by the torch and by the NumPy forward.

    Raises:
        ValueError: if a size is not a positive whole number, or heads do not divide the width.
    """

    width: int = 128  # E, of the encoder
    layers: int = 4
    heads: int = 4
    hidden: int = 256  # of the feed-forward layers
    decoder: int = 384  # width of the two hidden layers of the decoder
    components: int = 20  # K of the mixture
    limit: int = 100  # most observed points the network was trained to see; longer contexts are thinned
    divergence: bool = False  # the head also says how likely the run has diverged by the asked time

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "hidden", "decoder", "components", "limit"):
            size = getattr(self, name)
            if not isinstance(size, int) or size < 1:
                raise ValueError(f"{name} must be a positive whole number, got {size!r}")
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, got width={self.width}, heads={self.heads}")

    @property
    def law_outputs(self) -> int:
        """Numbers that the law of the answer to one query is made of."""
        return 3 * self.components

    @property
    def outputs(self) -> int:
        """Numbers that the head gives for one query: those of the law, then the log odds of divergence to going on."""
        return self.law_outputs + (len(OUTCOMES) - 1 if self.divergence else 0)

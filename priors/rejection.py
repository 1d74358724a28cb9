"""Rejection sampling of curves, block by block, without a Python loop over curves."""

from collections.abc import Callable

import torch
from torch import Tensor

Parameters = dict[str, Tensor]  # name -> values, (n,)

# Where on the grid most unacceptable curves already show it, as fractions of its length: curves bend early.
_COARSE = (0.0, 0.01, 0.02, 0.04, 0.1, 0.25, 0.5, 1.0)
_FIRST_RATE = 0.2  # guess at the accepted share that sizes the first block: a little below the paper prior's 0.206
_BLOCK = 2**16  # most proposals at once: bounds the memory, and keeps what is worked on in a CPU's cache
_PATIENCE = 2**21  # proposals without a single acceptance before giving up


def acceptable(values: Tensor) -> Tensor:
    """Returns whether curves stay in [0, 1] and end above their start, (..., T) to (...). NaN is not acceptable.

    A rise too small for the precision of the values is none.

    Source: LC-PFN's released code (github.com/automl/lcpfn, lcpfn/domhan_prior.py).

    Example:
        >>> acceptable(torch.tensor([[0.1, 0.9, 0.3], [0.3, 0.2, 0.1], [0.5, 1.1, 0.9]])).tolist()
        [True, False, False]
    """
    low, high = torch.aminmax(values, dim=-1)  # NaN comes through, and every comparison with it is False
    return (low >= 0) & (high <= 1) & (values[..., -1] > values[..., 0])


def draw_accepted(
    n: int, propose: Callable[[int], Parameters], evaluate: Callable[[Parameters, Tensor], Tensor], grid: Tensor
) -> tuple[Parameters, Tensor]:
    """Returns n independent draws that are acceptable: parameters, (n,) each, and values on the grid, (n, T).

    A few points of the grid weed out most proposals; only what is left is evaluated on all of it. One or two blocks
    are the rule, with a few waits for the device each.

    Args:
        n: Number of draws.
        propose: Given m, draws m independent sets of parameters.
        evaluate: Values, (m, T), of m curves at the times (T,).
        grid: Times at which a curve must be acceptable, (T,), increasing.

    Raises:
        ValueError: If not one of two million proposals was acceptable.
    """
    coarse = grid[sorted({round(fraction * (len(grid) - 1)) for fraction in _COARSE})]
    parts: list[tuple[Parameters, Tensor]] = []
    proposed = accepted = 0
    while accepted < n or not parts:
        rate = max(accepted, 1) / proposed if proposed else _FIRST_RATE
        missing = n - accepted
        # Four standard deviations more than are needed on average: a further block costs more than some waste.
        size = min(_BLOCK, 16 + int((missing + 4 * missing**0.5) / rate))
        parameters = propose(size)
        parameters = _select(parameters, acceptable(evaluate(parameters, coarse)))
        values = evaluate(parameters, grid)
        passed = acceptable(values)
        parameters, values = _select(parameters, passed), values[passed]
        proposed += size
        accepted += len(values)
        parts.append((parameters, values))
        if accepted == 0 and proposed >= _PATIENCE:
            raise ValueError(
                f"curves must stay in [0, 1] and end above their start, but none of {proposed} drawn did so; "
                "choose laws of the parameters that allow it"
            )
    joined = {key: torch.cat([part[key] for part, _ in parts])[:n] for key in parts[0][0]}
    return joined, torch.cat([values for _, values in parts])[:n]


def _select(parameters: Parameters, mask: Tensor) -> Parameters:
    index = mask.nonzero().squeeze(-1)  # once, or every parameter would wait for the device
    return {key: values[index] for key, values in parameters.items()}

"""Batches drawn ahead: on a GPU the next one is made on a stream and a thread of its own while this one is learnt from.

A prior that rejects or sorts its curves has to wait for the device now and then. Drawn in line, each such wait would
last until the step before is done, and the device would idle while the host goes on; drawn ahead, the waits are those
of another thread for another stream.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from lcpfn.priors import Curves
from lcpfn.training.questions import Questions

Batch = tuple[Curves, Questions]


class Ahead:
    """Batch n, while batch n + 1 is being drawn.

    Args:
        draw: makes batch n, a function of n alone.
        device: where batches are made.
    """

    def __init__(self, draw: Callable[[int], Batch], device: torch.device) -> None:
        self._draw, self._device = draw, device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="draws")
        self._next: tuple[int, Future[tuple[Batch, Any]]] | None = None

    def __call__(self, n: int) -> Batch:
        """Batch n; the drawing of batch n + 1 begins.

        Raises:
            Exception: whatever the drawing raised.
        """
        if self._next is None or self._next[0] != n:
            self._next = n, self._pool.submit(self._make, n)
        batch, ready = self._next[1].result()
        self._next = n + 1, self._pool.submit(self._make, n + 1)
        if self._stream is not None:
            here = torch.cuda.current_stream(self._device)
            here.wait_event(ready)
            for tensor in tensors(batch):
                tensor.record_stream(here)  # or its memory would be used again before this stream is done with it
        return batch

    def close(self) -> None:
        """Forget what was drawn ahead; the thread ends. Further calls are refused."""
        self._next = None
        self._pool.shutdown(cancel_futures=True)

    def _make(self, n: int) -> tuple[Batch, Any]:
        stream = self._stream
        with nullcontext() if stream is None else torch.cuda.stream(stream):
            batch = self._draw(n)
            return batch, None if stream is None else stream.record_event()


def tensors(batch: Batch) -> list[Tensor]:
    """All tensors of a batch."""
    values = (getattr(part, field.name) for part in batch for field in fields(part))
    return [value for value in values if isinstance(value, Tensor)]

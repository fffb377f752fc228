"""How the learning rate runs over a stage: a share of its peak for every step."""

from __future__ import annotations

import math

COSINE_FLOOR = 0.02


def linear_decay(step: int, warmup_steps: int, steps: int) -> float:
    """Return the share of the peak: a linear warm-up, then a linear decay that reaches 0 after the last step.

    Source: the reference trains with DeepSpeed's ``WarmupDecayLR``.
    """
    left = (steps - step) / max(steps - warmup_steps, 1)
    return min(_warmed_up(step, warmup_steps), max(left, 0.0))


def cosine_decay(step: int, warmup_steps: int, steps: int) -> float:
    """Return the share of the peak: half a cosine down to ``COSINE_FLOOR``, times a linear warm-up."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / max(steps, 1)))
    return _warmed_up(step, warmup_steps) * max(cosine, COSINE_FLOOR)


def _warmed_up(step: int, warmup_steps: int) -> float:
    return min(1.0, (step + 1) / max(warmup_steps, 1))

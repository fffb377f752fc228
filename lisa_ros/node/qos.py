"""Quality of service: fixed for what the node publishes, matched to the publishers for the images it receives."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

RELIABILITIES = {"reliable": ReliabilityPolicy.RELIABLE, "best_effort": ReliabilityPolicy.BEST_EFFORT}
"""What the parameter ``image_reliability`` can demand, besides ``auto``."""


def reliable(depth: int) -> QoSProfile:
    """Return a fresh reliable, volatile profile that keeps the last ``depth`` messages."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=ReliabilityPolicy.RELIABLE)


def newest_image(reliability: ReliabilityPolicy) -> QoSProfile:
    """Return a fresh profile that keeps one image only."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=reliability)


def choose_reliability(
    setting: str, offered: Sequence[ReliabilityPolicy], current: ReliabilityPolicy
) -> ReliabilityPolicy:
    """Return the reliability to ask of the publishers of an image topic.

    ``auto`` asks for ``RELIABLE`` only if all of them offer it: a reliable subscription hears nothing from a
    best-effort publisher, and a best-effort one loses large images that a reliable publisher would have sent again.
    Without publishers it stays at ``current``.
    """
    if setting in RELIABILITIES:
        return RELIABILITIES[setting]
    if not offered:
        return current
    all_reliable = all(reliability == ReliabilityPolicy.RELIABLE for reliability in offered)
    return ReliabilityPolicy.RELIABLE if all_reliable else ReliabilityPolicy.BEST_EFFORT

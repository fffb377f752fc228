from __future__ import annotations

import numpy as np

from lisa_ros.simulation.developing import Traced, develop, smooth
from lisa_ros.simulation.scenes import Exposure

PLAIN = Exposure((1.0, 1.0, 1.0), 1.0, 0.0, 5)


def traced(light: np.ndarray, albedo: np.ndarray) -> Traced:
    shape = light.shape[:2]
    normals = np.broadcast_to(np.array([0.0, 0.0, 1.0], np.float32), (*shape, 3))
    return Traced(light.astype(np.float32), albedo.astype(np.float32), normals, np.ones(shape, np.float32), 16)


def test_smoothing_takes_noise_away_and_keeps_colours_and_shadows() -> None:
    albedo = np.full((48, 64, 3), 0.2)
    albedo[:, 32:] = (0.7, 0.1, 0.1)
    true = albedo.copy()
    true[24:] *= 0.25
    random = np.random.default_rng(1)
    noisy = true * random.gamma(8.0, 1.0 / 8.0, (48, 64, 1))
    calm = smooth(traced(noisy, albedo))
    inner = np.s_[4:20, 4:28]
    assert np.abs(calm - true)[inner].mean() < 0.4 * np.abs(noisy - true)[inner].mean()
    ratio = calm[27:45, 4:28].mean() / calm[3:21, 4:28].mean()
    assert 0.2 < ratio < 0.32
    red = calm[3:21, 34]
    assert np.all(red[:, 0] > 4.0 * red[:, 1])


def test_a_stray_sample_leaves_no_spot() -> None:
    light = np.full((32, 32, 3), 0.3)
    light[16, 16] = 500.0
    assert smooth(traced(light, np.full((32, 32, 3), 0.5)))[16, 16].max() < 1.5


def test_the_camera_exposes_by_itself() -> None:
    light = np.random.default_rng(2).uniform(0.1, 1.0, (32, 32, 3)).astype(np.float32)
    once, again = develop(light, PLAIN), develop(50.0 * light, PLAIN)
    assert np.abs(once.astype(int) - again.astype(int)).max() <= 1
    assert 60 < once.mean() < 200


def test_noise_follows_the_exposure() -> None:
    light = np.full((32, 32, 3), 0.3, np.float32)
    calm, grainy = develop(light, PLAIN), develop(light, Exposure((1.0, 1.0, 1.0), 1.0, 4.0, 5))
    assert calm.std() < 0.5 < 1.5 < grainy.std()

from __future__ import annotations

import torch
from transformers import CLIPVisionConfig, CLIPVisionModel

from lisa_ros.model.configuration import ClipVisionConfig
from lisa_ros.model.vision import build_clip_tower, clip_patch_features, grid_positions


def test_the_cut_clip_tower_gives_the_layer_that_is_read_of_the_whole_one():
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 5, "num_attention_heads": 4}
    whole = CLIPVisionModel(CLIPVisionConfig(**sizes, image_size=28, patch_size=14)).eval()
    for select_layer in (-1, -2, -4):
        tower = build_clip_tower(ClipVisionConfig(**sizes, image_size=28, select_layer=select_layer)).eval()
        missing = tower.load_state_dict(whole.state_dict(), strict=False).missing_keys
        assert not missing
        pixel_values = torch.randn(2, 3, 28, 28)
        with torch.inference_mode():
            expected = whole(pixel_values, output_hidden_states=True).hidden_states[select_layer][:, 1:]
            assert torch.allclose(clip_patch_features(tower, pixel_values), expected, atol=1e-6)


def test_the_pyramid_gives_tokens_and_three_levels(tiny_model):
    with torch.inference_mode():
        tokens, features = tiny_model.pyramid(torch.randn(2, 3, 64, 96))
    assert tokens.shape == (2, 6, 32)
    assert features.image_embeddings.shape == (2, 32, 4, 6)
    assert [tuple(level.shape) for level in features.high_resolution] == [(2, 4, 16, 24), (2, 8, 8, 12)]
    assert tiny_model.config.mask_vision.embedding_size == (4, 6)
    assert tiny_model.config.vision.num_image_tokens == 6


def test_features_of_images_repeat_an_image_as_often_as_its_index(tiny_model):
    with torch.inference_mode():
        features = tiny_model.pyramid(torch.randn(2, 3, 64, 96))[1]
    chosen = features.of_images(torch.tensor([1, 1, 0]))
    assert torch.equal(chosen.image_embeddings, features.image_embeddings[[1, 1, 0]])
    for got, source in zip(chosen.high_resolution, features.high_resolution, strict=True):
        assert torch.equal(got, source[[1, 1, 0]])


def test_every_cell_of_a_grid_has_a_position_of_its_own():
    positions = grid_positions(9, 12, torch.device("cpu"))
    distances = torch.cdist(positions, positions) + 10 * torch.eye(len(positions))
    assert positions.shape == (108, 32)
    assert distances.min() > 0.5

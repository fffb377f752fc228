from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lisa_ros.doctor.memory import WEIGHTS_OF_7B, weight_bytes
from lisa_ros.model.configuration import ClipVisionConfig, LanguageConfig, LisaConfig, SamVitConfig, TokenConfig
from lisa_ros.model.modeling import LisaModel


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_the_estimate_is_what_a_loaded_network_takes(quantization, tiny_text, tmp_path):
    language = LanguageConfig(tiny_text.config.language.vocab_size, 256, 1024, 4, 4, tie_word_embeddings=True)
    LisaModel(replace(tiny_text.config, language=language)).save_pretrained(tmp_path)
    model = LisaModel.from_pretrained(tmp_path, dtype=torch.bfloat16, quantization=quantization)
    taken = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    with torch.device("meta"):
        needed = weight_bytes(LisaModel(model.config))
    assert needed[quantization] == pytest.approx(taken, rel=0.03)
    assert needed[quantization] < 0.8 * needed["16 bits"]


def test_the_words_about_a_7b_are_those_of_its_configuration():
    with torch.device("meta"):
        model = LisaModel(
            LisaConfig(
                language=LanguageConfig(32003, 4096, 11008, 32, 32),
                vision=ClipVisionConfig(),
                image_encoder=SamVitConfig(),
                tokens=TokenConfig(seg=32000),
            )
        )
    needed = weight_bytes(model)
    assert all(size - 1 <= needed[precision] / 1e9 <= size for precision, size in WEIGHTS_OF_7B.items()), needed

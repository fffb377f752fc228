"""Networks for tests: a tiny LISA of the embedded kind with random weights, and the recording of the reference."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data"
ANSWERS = [
    "It is the knife [SEG].",
    "You can cut with the knife [SEG], it is sharp.",
    "The bananas are [SEG].",
    "I see no hammer here [REJ].",
    "A knife is used for cutting.",
]
WORDS = ["what", "can", "i", "cut", "the", "bread", "with", "where", "is", "knife", "banana", "hammer", "a", "?", "##s"]


def pytest_configure():
    """Let Ctrl-C reach the processes that tests start, even where the suite itself runs in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def golden_folder():
    return DATA / "golden_tiny_b"


@pytest.fixture(scope="session")
def golden_model():
    """The network of the recording; tests must not change it."""
    from lisa_ros.evaluation.parity.recording import recorded_model

    return recorded_model(DATA / "golden_tiny_b")


@pytest.fixture(scope="session")
def tiny_text():
    """The text processor of the embedded kind with a vocabulary of some words."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    from lisa_ros.model.text_processing import TabletopTextProcessor, train_answer_tokenizer

    vocabulary = {token: index for index, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    request_tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    request_tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    request_tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    request_tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    request_tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    answer_tokenizer = train_answer_tokenizer(ANSWERS, 320)
    config = tiny_config(answer_tokenizer.get_vocab_size(), len(vocabulary))
    return TabletopTextProcessor(answer_tokenizer, request_tokenizer, config)


def tiny_config(answer_vocabulary, request_vocabulary):
    from lisa_ros.model.configuration import (
        LanguageConfig,
        LisaConfig,
        MaskDecoderConfig,
        PyramidConfig,
        RequestEncoderConfig,
        TokenConfig,
    )

    return LisaConfig(
        name="tiny",
        language=LanguageConfig(answer_vocabulary, 48, 64, 2, 4, tie_word_embeddings=True),
        vision=PyramidConfig((64, 96), token_channels=32, mask_channels=(4, 8, 32)),
        image_encoder=None,
        tokens=TokenConfig(pad=0, bos=1, eos=2, seg=4, rejection=5),
        mask_decoder=MaskDecoderConfig(
            embed_dim=32, mlp_dim=48, num_multimask_outputs=0, iou_head_hidden_dim=16, high_resolution=True
        ),
        request_encoder=RequestEncoderConfig(request_vocabulary, 24, 2, 2, 48, 64, max_request_tokens=16),
        conversation="tabletop",
        field_of_view="pad",
    )


@pytest.fixture
def tiny_model(tiny_text):
    """A tiny LISA of the embedded kind with seeded random weights; a test may change it."""
    import torch

    from lisa_ros.model.modeling import LisaModel

    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = LisaModel(tiny_text.config).eval()
        for name, value in model.named_parameters():
            if name.startswith("pyramid.trunk"):
                torch.nn.init.normal_(value, std=1.0 / max(value[0].numel(), 1) ** 0.5)
    return model

"""Tiny models of transformers with random weights, saved as users have them: a folder each."""

from __future__ import annotations

import numpy as np
import pytest

WORDS = [
    *["<pad>", "<s>", "</s>", "<unk>", "<image>", "USER", "ASSISTANT", ":", "the", "knife", "none", "cup", "."],
    *["<|vision_start|>", "<|image_pad|>", "<|video_pad|>"],
]
"""The vocabulary of every tiny model; any other word is ``<unk>``."""
SAYS_KNIFE = {":": "the", "the": "knife", "knife": ".", ".": "</s>"}
SAYS_NONE = {":": "none", "none": "</s>"}
NEVER_ENDS = {":": "the", "the": "the"}


@pytest.fixture(scope="session")
def rgb():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def tokenizer(special_tokens, with_ends=False):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    if with_ends:
        backend.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    ends = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    made = PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=16 if with_ends else 4096, **ends)
    made.add_special_tokens({"additional_special_tokens": special_tokens})
    return made


def script(model, following):
    """Make a language model that writes after each word the one that ``following`` names, whatever came before."""
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")) and "vision" not in name and "visual" not in name:
                weight.zero_()
        embeddings = model.get_input_embeddings().weight
        embeddings.copy_(torch.eye(*embeddings.shape))
        head = model.get_output_embeddings().weight
        head.zero_()
        for word, then in following.items():
            head[WORDS.index(then), WORDS.index(word)] = 10.0


def save_llava(folder, following, chat_template=None):
    import torch
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlavaForConditionalGeneration(
            LlavaConfig(
                vision_config=CLIPVisionConfig(image_size=28, patch_size=14, **sizes),
                text_config=LlamaConfig(vocab_size=len(WORDS), bos_token_id=1, eos_token_id=2, pad_token_id=0, **sizes),
                image_token_id=WORDS.index("<image>"),
            )
        )
    script(model, following)
    image_processor = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    processor = LlavaProcessor(
        image_processor,
        tokenizer(["<image>"]),
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat_template,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def save_qwen(folder, following):
    import torch
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    text = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    ids = {f"{kind}_token_id": WORDS.index(f"<|{kind}_pad|>") for kind in ("image", "video")}
    config = Qwen2VLConfig(
        text_config={
            **text, "num_key_value_heads": 2, "vocab_size": len(WORDS), "rope_parameters": rope, "bos_token_id": 1,
            "eos_token_id": 2, "pad_token_id": 0,
        },
        vision_config={"depth": 1, "embed_dim": 16, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2},
        vision_start_token_id=WORDS.index("<|vision_start|>"),
        tie_word_embeddings=False,
        **ids,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Qwen2VLForConditionalGeneration(config)
    script(model, following)
    model.save_pretrained(folder)
    words = tokenizer(["<|vision_start|>", "<|image_pad|>", "<|video_pad|>"])
    words.chat_template = (
        "{% for message in messages %}{{ message.role }} : {% for part in message.content %}"
        "{% if part.type == 'image' %}<|vision_start|><|image_pad|> {% else %}{{ part.text }} {% endif %}{% endfor %}"
        "{% endfor %}{% if add_generation_prompt %}ASSISTANT : {% endif %}"
    )
    words.save_pretrained(folder)
    Qwen2VLImageProcessorPil(size={"shortest_edge": 28 * 28, "longest_edge": 56 * 56}).save_pretrained(folder)
    return folder


def save_clipseg(folder):
    import torch
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, CLIPSegProcessor
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    words = {"vocab_size": len(WORDS), "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 2}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = CLIPSegForImageSegmentation(
            CLIPSegConfig(
                text_config=sizes | words,
                vision_config=sizes | {"image_size": 32, "patch_size": 8},
                projection_dim=16,
                reduce_dim=8,
                extract_layers=[0, 2],
                decoder_num_attention_heads=2,
                decoder_intermediate_size=16,
            )
        )
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.5)
    image_processor = ViTImageProcessorPil(size={"height": 32, "width": 32})
    model.save_pretrained(folder)
    CLIPSegProcessor(image_processor, tokenizer([], with_ends=True)).save_pretrained(folder)
    return folder


def save_owlvit(folder):
    import torch
    from transformers import OwlViTConfig, OwlViTForObjectDetection, OwlViTProcessor
    from transformers.models.owlvit.image_processing_pil_owlvit import OwlViTImageProcessorPil

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    words = {"vocab_size": len(WORDS), "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 2}
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = OwlViTForObjectDetection(
            OwlViTConfig(
                text_config=sizes | words,
                vision_config=sizes | {"image_size": 32, "patch_size": 16},
                projection_dim=16,
            )
        )
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    image_processor = OwlViTImageProcessorPil(size={"height": 32, "width": 32}, do_center_crop=False)
    OwlViTProcessor(image_processor, tokenizer([], with_ends=True)).save_pretrained(folder)
    return folder


def save_sam(folder):
    import torch
    from transformers import SamConfig, SamModel, SamProcessor
    from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

    vision = {"hidden_size": 16, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    decoder = {"hidden_size": 16, "mlp_dim": 16, "num_attention_heads": 2, "num_hidden_layers": 2}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = SamModel(
            SamConfig(
                vision_config=vision
                | {"image_size": 64, "patch_size": 16, "window_size": 2, "global_attn_indexes": [1], "mlp_dim": 32,
                   "num_pos_feats": 8},
                prompt_encoder_config={"hidden_size": 16, "image_size": 64, "patch_size": 16, "mask_input_channels": 4,
                                       "image_embedding_size": 4},
                mask_decoder_config=decoder | {"iou_head_hidden_dim": 16, "iou_head_depth": 2},
            )
        )  # fmt: skip
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(folder)
    image_processor = SamImageProcessorPil(size={"longest_edge": 64}, pad_size={"height": 64, "width": 64})
    SamProcessor(image_processor).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Return the folder of a tiny model by its name."""
    root = tmp_path_factory.mktemp("models")
    return {
        "llava-tiny": str(save_llava(root / "llava-tiny", SAYS_KNIFE)),
        "llava-none": str(save_llava(root / "llava-none", SAYS_NONE)),
        "llava-endless": str(save_llava(root / "llava-endless", NEVER_ENDS)),
        "qwen-tiny": str(save_qwen(root / "qwen-tiny", SAYS_KNIFE)),
        "clipseg-tiny": str(save_clipseg(root / "clipseg-tiny")),
        "owlvit-tiny": str(save_owlvit(root / "owlvit-tiny")),
        "sam-tiny": str(save_sam(root / "sam-tiny")),
    }

"""Tiny configurations of transformers' architectures: text, speech and pictures, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Made = tuple[Callable[[], nn.Module], tuple[Tensor, ...]]
WORDS, LENGTH = 99, 7
TEXT = {"vocab_size": WORDS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 37, "max_position_embeddings": 40, "pad_token_id": 0}  # fmt: skip
DECODER = {**TEXT, "num_key_value_heads": 2, "head_dim": 8, "bos_token_id": 1, "eos_token_id": 2}
SEEING = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37,
          "image_size": 32, "patch_size": 8}  # fmt: skip
HEARING = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37,
           "conv_dim": (16, 16), "conv_stride": (4, 4), "conv_kernel": (8, 8), "num_feat_extract_layers": 2,
           "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}  # fmt: skip


class Only(nn.Module):
    """One tensor of what a model answers, computed without a cache."""

    def __init__(self, model: nn.Module, name: str, inputs: tuple[str, ...], **given: Any) -> None:
        super().__init__()
        self.model, self.name, self.inputs, self.given = model, name, inputs, given

    def forward(self, *values: Tensor) -> Tensor:
        return getattr(self.model(**dict(zip(self.inputs, values)), **self.given), self.name)


def ids(seed: int = 0) -> Tensor:
    return torch.randint(3, WORDS, (2, LENGTH), generator=torch.Generator().manual_seed(seed))


def mask() -> Tensor:
    return torch.tensor([[1] * LENGTH, [1] * (LENGTH - 2) + [0] * 2])


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def picture(size: int = 32) -> Tensor:
    return noise(1, 3, size, size)


def _text(config: str, model: str, name: str = "logits", **more: Any) -> Made:
    def make() -> nn.Module:
        import transformers

        settings = getattr(transformers, config)(**{**TEXT, **more}, attn_implementation="eager")
        return Only(getattr(transformers, model)(settings), name, ("input_ids", "attention_mask"))

    return make, (ids(), mask())


def _decoder(config: str, model: str, **more: Any) -> Made:
    def make() -> nn.Module:
        import transformers

        settings = getattr(transformers, config)(**{**DECODER, **more}, attn_implementation="eager", use_cache=False)
        return Only(getattr(transformers, model)(settings), "logits", ("input_ids",), use_cache=False)

    return make, (ids(),)


def _vision(config: str, model: str, name: str = "logits", **more: Any) -> Made:
    given = {**SEEING, **more}

    def make() -> nn.Module:
        import transformers

        settings = getattr(transformers, config)(**given, attn_implementation="eager")
        return Only(getattr(transformers, model)(settings), name, ("pixel_values",))

    return make, (picture(given["image_size"]),)


def _other(config: str, model: str, name: str, inputs: dict[str, Tensor], **given: Any) -> Made:
    def make() -> nn.Module:
        import transformers

        settings = getattr(transformers, config)(**given)
        return Only(getattr(transformers, model)(settings), name, tuple(inputs))

    return make, tuple(inputs.values())


SOUND = {"input_values": noise(1, 400)}
T5 = {"vocab_size": WORDS, "d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4}
SWIN = {"image_size": 32, "patch_size": 2, "embed_dim": 16, "depths": [1, 2], "num_heads": [2, 4], "window_size": 4}

LANGUAGE: dict[str, Made] = {
    "bert": _text("BertConfig", "BertForSequenceClassification"),
    "bert, tokens": _text("BertConfig", "BertForTokenClassification"),
    "bert, words": _text("BertConfig", "BertForMaskedLM"),
    "roberta": _text("RobertaConfig", "RobertaForSequenceClassification"),
    "distilbert": _other(
        "DistilBertConfig", "DistilBertForSequenceClassification", "logits",
        {"input_ids": ids(), "attention_mask": mask()}, vocab_size=WORDS, dim=32, n_layers=2, n_heads=4, hidden_dim=37,
    ),
    "albert": _text("AlbertConfig", "AlbertForSequenceClassification", embedding_size=16),
    "electra": _text("ElectraConfig", "ElectraForSequenceClassification", embedding_size=16),
    "mpnet": _text("MPNetConfig", "MPNetForSequenceClassification"),
    "deberta": _text("DebertaConfig", "DebertaForSequenceClassification", relative_attention=True,
            pos_att_type=["c2p", "p2c"]),
    "deberta v2": _text("DebertaV2Config", "DebertaV2ForSequenceClassification", relative_attention=True,
                        pos_att_type=["c2p", "p2c"]),
    "xlm roberta": _text("XLMRobertaConfig", "XLMRobertaForSequenceClassification"),
    "camembert": _text("CamembertConfig", "CamembertForSequenceClassification"),
    "mobilebert": _text("MobileBertConfig", "MobileBertForSequenceClassification", embedding_size=16,
                        intra_bottleneck_size=32, true_hidden_size=32),
    "squeezebert": _text("SqueezeBertConfig", "SqueezeBertForSequenceClassification", embedding_size=32),
    "convbert": _text("ConvBertConfig", "ConvBertForSequenceClassification", embedding_size=16),
    "modernbert": _text("ModernBertConfig", "ModernBertForSequenceClassification", bos_token_id=1, eos_token_id=2,
                        cls_token_id=1, sep_token_id=2),
    "fnet": _other("FNetConfig", "FNetForSequenceClassification", "logits", {"input_ids": ids()}, vocab_size=WORDS,
                   hidden_size=32, num_hidden_layers=2, intermediate_size=37, max_position_embeddings=40),
    "t5 encoder": _other("T5Config", "T5EncoderModel", "last_hidden_state",
                         {"input_ids": ids(), "attention_mask": mask()}, **T5),
    "gpt2": _other("GPT2Config", "GPT2LMHeadModel", "logits", {"input_ids": ids()}, vocab_size=WORDS, n_positions=40,
                   n_embd=32, n_layer=2, n_head=4, use_cache=False, attn_implementation="eager"),
    "gpt neox": _text("GPTNeoXConfig", "GPTNeoXForCausalLM", use_cache=False),
    "opt": _other("OPTConfig", "OPTForCausalLM", "logits", {"input_ids": ids()}, vocab_size=WORDS, hidden_size=32,
                  num_hidden_layers=2, num_attention_heads=4, ffn_dim=37, max_position_embeddings=40, pad_token_id=1,
                  word_embed_proj_dim=32, use_cache=False, attn_implementation="eager"),
    "llama": _decoder("LlamaConfig", "LlamaForCausalLM"),
    "mistral": _decoder("MistralConfig", "MistralForCausalLM", sliding_window=4),
    "qwen2": _decoder("Qwen2Config", "Qwen2ForCausalLM"),
    "qwen3": _decoder("Qwen3Config", "Qwen3ForCausalLM"),
    "gemma": _decoder("GemmaConfig", "GemmaForCausalLM"),
    "gemma2": _decoder("Gemma2Config", "Gemma2ForCausalLM", query_pre_attn_scalar=8),
    "phi": _decoder("PhiConfig", "PhiForCausalLM"),
    "vit": _vision("ViTConfig", "ViTForImageClassification"),
    "deit": _vision("DeiTConfig", "DeiTForImageClassification"),
    "beit": _vision("BeitConfig", "BeitForImageClassification", use_relative_position_bias=True),
    "dinov2": _vision("Dinov2Config", "Dinov2ForImageClassification"),
    "siglip": _vision("SiglipVisionConfig", "SiglipVisionModel", "pooler_output"),
    "clip, pictures": _vision("CLIPVisionConfig", "CLIPVisionModel", "pooler_output"),
    "clip, text": _text("CLIPTextConfig", "CLIPTextModel", "pooler_output", bos_token_id=1, eos_token_id=2),
    "swin": _other("SwinConfig", "SwinForImageClassification", "logits", {"pixel_values": picture()}, **SWIN),
    "swin v2": _other("Swinv2Config", "Swinv2ForImageClassification", "logits", {"pixel_values": picture()}, **SWIN),
    "convnext v2": _other("ConvNextV2Config", "ConvNextV2ForImageClassification", "logits",
                          {"pixel_values": picture(64)},
                          hidden_sizes=[8, 16], depths=[1, 2], num_stages=2),
    "segformer": _other("SegformerConfig", "SegformerForSemanticSegmentation", "logits", {"pixel_values": picture(64)},
                        num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[16, 32],
                        num_attention_heads=[1, 2], decoder_hidden_size=16, patch_sizes=[7, 3], strides=[4, 2],
                        mlp_ratios=[2, 2]),
    "sam, pictures": _other("SamVisionConfig", "SamVisionModel", "last_hidden_state", {"pixel_values": picture(64)},
                            hidden_size=32, output_channels=16, num_hidden_layers=2, num_attention_heads=4,
                            image_size=64, patch_size=8, window_size=4, global_attn_indexes=[1], mlp_dim=37),
    "detr": _other("DetrConfig", "DetrForObjectDetection", "logits", {"pixel_values": picture(64)}, d_model=32,
                   encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
                   encoder_ffn_dim=37, decoder_ffn_dim=37, num_queries=5, use_timm_backbone=True, backbone="resnet18",
                   use_pretrained_backbone=False),
    "yolos": _other("YolosConfig", "YolosForObjectDetection", "logits", {"pixel_values": picture()}, **SEEING | {
                    "image_size": [32, 32]}, num_detection_tokens=5),
    "whisper encoder": _other("WhisperConfig", "WhisperForAudioClassification", "logits",
            {"input_features": noise(1, 80, 40)}, d_model=32, encoder_layers=2,
                              encoder_attention_heads=4, encoder_ffn_dim=37, max_source_positions=20, vocab_size=WORDS,
                              decoder_layers=1, decoder_attention_heads=4, decoder_ffn_dim=37),
    "wav2vec2": _other("Wav2Vec2Config", "Wav2Vec2ForSequenceClassification", "logits", SOUND, **HEARING),
    "hubert": _other("HubertConfig", "HubertForSequenceClassification", "logits", SOUND, **HEARING),
    "wavlm": _other("WavLMConfig", "WavLMForSequenceClassification", "logits", SOUND, **HEARING),
    "audio spectrogram": _other("ASTConfig", "ASTForAudioClassification", "logits", {"input_values": noise(1,
            64, 16)}, hidden_size=32, num_hidden_layers=2,
                                num_attention_heads=4, intermediate_size=37, patch_size=8, frequency_stride=4,
                                time_stride=4, max_length=64, num_mel_bins=16),
    "mamba": _other("MambaConfig", "MambaForCausalLM", "logits", {"input_ids": ids()}, vocab_size=WORDS, hidden_size=16,
                    state_size=4, num_hidden_layers=2, use_cache=False),
}  # fmt: skip

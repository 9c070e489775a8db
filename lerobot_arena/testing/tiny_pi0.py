# SPDX-License-Identifier: Apache-2.0
"""LeRobot's pi0 made narrow enough for a test, with random weights: its own code, fewer and smaller layers.

LeRobot 0.6.1 can't be told to: a PI0Config knows `gemma_2b` and `gemma_300m` only, and `PaliGemmaWithExpertModel` sets
the vocabulary (257152), the image tower (27 layers of 1152) and its projection (2048) itself. With `gemma_300m` pi0's
first call fails, since 2048 is not that model's width 1024; so the smallest one that runs has 4.03·10⁹ weights.
`narrow` shrinks what these constructors are given, and nothing else.
"""

import sys
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

from lerobot_arena.inference.manifest import write_manifest

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
_WORDS = ("pick", "up", "the", "red", "green", "cube", "place", "it", "box")
_MODULE = "lerobot.policies.pi0.modeling_pi0"
_WIDTH, _VOCABULARY, SIZE = 64, 64, 28


def narrow(module: Any) -> None:
    """Make every pi0 of this process small. `module` is `lerobot.policies.pi0.modeling_pi0`."""
    gemma = module.GemmaConfig(width=_WIDTH, depth=2, mlp_dim=64, num_heads=8, num_kv_heads=1, head_dim=16)
    module.get_gemma_config = lambda variant: gemma
    whole, expert = module.PaliGemmaForConditionalGenerationWithPiGemma, module.PiGemmaForCausalLM

    def make_whole(config: Any) -> Any:
        vision, text = config.vision_config, config.text_config
        vision.num_hidden_layers, vision.hidden_size, vision.num_attention_heads = 1, 32, 2
        vision.intermediate_size, vision.projection_dim = 64, _WIDTH
        config.projection_dim = _WIDTH
        text.vocab_size = config._vocab_size = config.image_token_index = _VOCABULARY
        return whole(config)

    def make_expert(config: Any) -> Any:
        config.vocab_size = _VOCABULARY
        return expert(config)

    module.PaliGemmaForConditionalGenerationWithPiGemma = make_whole
    module.PiGemmaForCausalLM = make_expert


class _Narrowing(MetaPathFinder):
    """Narrows pi0 right after it is imported."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname != _MODULE:
            return None
        sys.meta_path.remove(self)
        from importlib.util import find_spec

        spec = find_spec(fullname)
        assert spec is not None and spec.loader is not None
        run = spec.loader.exec_module

        def run_and_narrow(module: Any) -> None:
            run(module)
            narrow(module)

        spec.loader.exec_module = run_and_narrow  # type: ignore[method-assign]
        return spec


def narrow_when_imported() -> None:
    """For a child process: `narrow` pi0 as soon as that process imports it."""
    sys.meta_path.insert(0, _Narrowing())


def write_start_up(folder: Path) -> Path:
    """A folder for PYTHONPATH that narrows pi0 in every Python process started with it."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "from lerobot_arena.testing.tiny_pi0 import narrow_when_imported\n\nnarrow_when_imported()\n"
    (folder / "sitecustomize.py").write_text(text)
    return folder


def write_tokenizer(folder: Path) -> Path:
    """A tokenizer of a few words, as `transformers` saves one."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate(("<pad>", "<unk>", "<bos>", *_WORDS))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", bos_token="<bos>"
    ).save_pretrained(str(folder))
    return folder


def write_pi0_checkpoint(folder: Path, *, cameras: tuple[str, ...] = ("front",), chunk: int = 8) -> Path:
    """Save policy, processors, tokenizer and manifest; the process that calls it has a narrow pi0 from then on."""
    import torch
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.factory import make_pre_post_processors
    from lerobot.policies.pi0 import modeling_pi0, processor_pi0
    from lerobot.policies.pi0.configuration_pi0 import PI0Config
    from lerobot.processor import TokenizerProcessorStep

    if modeling_pi0.get_gemma_config.__name__ != "<lambda>":
        narrow(modeling_pi0)
    named = processor_pi0.TokenizerProcessorStep
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images = {
        f"observation.images.{name}": PolicyFeature(FeatureType.VISUAL, (3, SIZE, SIZE)) for name in cameras
    }
    config = PI0Config(
        input_features={"observation.state": PolicyFeature(FeatureType.STATE, (6,)), **images},
        output_features={"action": PolicyFeature(FeatureType.ACTION, (6,))},
        image_resolution=(SIZE, SIZE),
        chunk_size=chunk,
        n_action_steps=chunk,
        num_inference_steps=2,
        device="cpu",
        push_to_hub=False,
    )
    policy = modeling_pi0.PI0Policy(config)
    joints = {"mean": torch.randn(6) * 20, "std": torch.rand(6) * 20 + 10}
    write_tokenizer(folder / "tokenizer")

    def own_tokenizer(**settings: Any) -> Any:
        return TokenizerProcessorStep(**{**settings, "tokenizer_name": str(folder / "tokenizer")})

    processor_pi0.TokenizerProcessorStep = own_tokenizer
    try:
        before, after = make_pre_post_processors(
            config, dataset_stats={"observation.state": joints, "action": joints}
        )
    finally:
        processor_pi0.TokenizerProcessorStep = named
    for part in (policy, before, after):
        part.save_pretrained(folder)
    # As every published pi0 has it: a name on the hub.
    steps = folder / "policy_preprocessor.json"
    steps.write_text(steps.read_text().replace(str(folder / "tokenizer"), "google/paligemma-3b-pt-224"))
    write_manifest(folder, {"joint_names": list(JOINTS), "unit": "normalized", "fps": 30.0})
    return folder

"""The networks of the census, by family; each is built when it is its turn."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from exporting import Net
from language import LANGUAGE
from series import SERIES
from tables import pipelines

Builder = Callable[[], Net]
TORCHVISION = {
    "alexnet": 224, "vgg11_bn": 224, "resnet18": 64, "squeezenet1_1": 64, "densenet121": 64, "inception_v3": 96,
    "googlenet": 64, "shufflenet_v2_x0_5": 64, "mobilenet_v2": 64, "mobilenet_v3_small": 64, "resnext50_32x4d": 64,
    "wide_resnet50_2": 64, "mnasnet0_5": 64, "efficientnet_b0": 64, "efficientnet_v2_s": 64, "regnet_y_400mf": 64,
    "regnet_x_400mf": 64, "vit_b_32": 224, "convnext_tiny": 64, "swin_t": 64, "swin_v2_t": 64, "maxvit_t": 224,
}  # fmt: skip
SEGMENTATION = {"fcn_resnet50": 64, "deeplabv3_resnet50": 64, "lraspp_mobilenet_v3_large": 64}
VIDEO = ("r3d_18", "mc3_18", "r2plus1d_18", "s3d", "mvit_v2_s", "swin3d_t")
SMALL = (
    "test_",
    "atto",
    "femto",
    "pico",
    "nano",
    "xxt",
    "xtiny",
    "tiny",
    "_xxs",
    "xxsmall",
    "_xs",
    "_s0",
    "lite",
    "small",
    "_s",
    "050",
    "075",
    "18",
    "_b0",
    "_0",
)


def declared() -> Any:
    """torchvision, which was built for another torch: what its operators look like is declared, as none is run here."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    while True:
        try:
            import torchvision

            return torchvision
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None:
                raise
            library.define(f"{missing.group(1)}(Tensor x) -> Tensor")
            for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
                del sys.modules[name]


def picture(size: int, *more: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(1, 3, *more, size, size)).astype(np.float32))


def seeded(make: Callable[[], torch.nn.Module], *inputs: torch.Tensor) -> Net:
    """With random weights, always the same, and BatchNorm statistics that are not those of a new network."""
    torch.manual_seed(0)
    module = make()
    for part in module.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm) and part.running_var is not None:
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.8, 1.2)
    return Net(module.eval(), inputs)


def torchvision_nets() -> Iterator[tuple[str, Builder]]:
    models = declared().models
    for name, size in TORCHVISION.items():
        options = {"init_weights": False} if name in ("inception_v3", "googlenet") else {}
        given = {"aux_logits": False} if name in ("googlenet",) else {}
        yield name, partial(seeded, partial(getattr(models, name), weights=None, **options, **given), picture(size))
    for name, size in SEGMENTATION.items():
        make = partial(getattr(models.segmentation, name), weights=None, weights_backbone=None)
        yield name, partial(seeded, make, picture(size))
    for name in VIDEO:
        size = 224 if name.startswith(("mvit", "swin", "s3d")) else 64
        yield name, partial(seeded, partial(getattr(models.video, name), weights=None), picture(size, 16))


def timm_nets() -> Iterator[tuple[str, Builder]]:
    declared()
    import timm

    for module in timm.list_modules():
        names = timm.list_models(module=module)
        if names:
            name = min(names, key=lambda n: (next((i for i, w in enumerate(SMALL) if w in n), 99), len(n)))
            size = timm.get_pretrained_cfg(name).input_size[-1]
            yield f"{module}/{name}", partial(seeded, partial(timm.create_model, name), picture(min(size, 256)))


def series_nets() -> Iterator[tuple[str, Builder]]:
    for name, (make, inputs) in SERIES.items():
        yield name, partial(seeded, make, *inputs)


def language_nets() -> Iterator[tuple[str, Builder]]:
    declared()
    for name, (make, inputs) in LANGUAGE.items():
        yield name, partial(seeded, make, *inputs)


def table_nets() -> Iterator[tuple[str, Builder]]:
    for name, model in pipelines():
        yield name, lambda model=model: Net(None, (), model())


ALL: dict[str, Callable[[], Iterator[tuple[str, Builder]]]] = {
    "torchvision": torchvision_nets, "timm": timm_nets, "series": series_nets, "transformers": language_nets,
    "scikit-learn": table_nets,
}  # fmt: skip


def exporters(family: str, wanted: list[str]) -> list[str]:
    """scikit-learn has one of its own."""
    return ["skl2onnx"] if family == "scikit-learn" else wanted

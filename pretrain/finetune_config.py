"""Every option of a fine-tuning run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from catseye.errors import UsageError
from catseye.pretrain.encoder import STRIDES
from catseye.pretrain.run_options import RunOptions, require_network_size

_LARGEST_ZOOM = 4.0
_INDIFFERENT = frozenset({"save_every"})


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(RunOptions):
    """Every option of a fine-tuning run; a batch is of stills.

    Args:
        encoder: for training from scratch only; a pretrained run brings its own.
        width, height: network size in pixels, multiples of 32.
        embedding_dim: length of the appearance descriptor.
        neck_channels: width of neck and head; None is what goes with the encoder, see ``neck_channels_of``.
        zoom: largest factor by which a still is enlarged or shrunk at random.
        encoder_lr_scale: the pretrained encoder's and depth decoder's learning rate in units of ``lr``; from
            scratch everything learns at ``lr``.
        layer_decay: how much slower each stage of a pretrained encoder learns than the one above it, the last
            in units of the neck's; 1 is no slower. Of no effect from scratch.
        freeze_encoder: leave the encoder's weights as they start; its batch normalisation still measures the
            stills.
        freeze_stages: leave the encoder's first stages as they start, up to the maps at strides 4, 8, 16 and
            32, what their batch normalisation has measured too.
        unfreeze_after: share of the steps after which what is frozen learns too; 1 leaves it frozen.
        patience: checks on stills kept back from those to learn from, in a row and without gain, after which
            the run ends; the best average is what it leaves. 0 takes all steps and the last average.
        check_every: steps between checks, a multiple of ``log_every``.
        validation_share: of the stills to learn from that are kept back for checks.
        group_from: regular expression for the part of a file name that says which drive it is of: a drive is
            kept back whole. By default its folder, where there are several; otherwise each still by itself.
        class_map: what a class in the labels is called here, for those that are called otherwise.
        classes: those to be found, in that order; by default all that there are. Others are background.
        repeat_rare: a class on a smaller share of the stills is seen more often, see ``repeat_factors``.
        extra_share: part of each batch that is taken of the extra labels, where there are any.
        tiny_px: boxes smaller than this, as the root of their area in network pixels, are matched and
            outlined by normalised Wasserstein distance as well, see ``box_similarity``; 0 is never.
        ema: decay of the average of weights and buffers that is kept.
        depth_weight: of the loss that keeps the pretrained depth; at 0 depth is given up, as from scratch.
        depth_share: which part of each batch that loss is taken of.

    Raises:
        UsageError: an option has a value that cannot be.
    """

    width: int = 320
    height: int = 192
    embedding_dim: int = 32
    neck_channels: int | None = None
    batch: int = 8
    zoom: float = 1.3
    encoder_lr_scale: float = 1.0
    layer_decay: float = 1.0
    freeze_encoder: bool = False
    freeze_stages: int = 0
    unfreeze_after: float = 1.0
    patience: int = 0
    check_every: int = 100
    validation_share: float = 0.15
    group_from: str = ""
    class_map: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    repeat_rare: float = 0.001
    extra_share: float = 0.5
    tiny_px: float = 0.0
    warmup: float = 0.05
    clip_norm: float = 10.0
    ema: float = 0.995
    depth_weight: float = 1.0
    depth_share: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive("embedding_dim", "check_every", "layer_decay")
        if self.neck_channels is not None:
            self.require_positive("neck_channels")
        self.require_not_negative("encoder_lr_scale", "depth_weight", "patience", "tiny_px")
        if not 1 <= self.zoom <= _LARGEST_ZOOM:
            raise UsageError(f"zoom {self.zoom}: lies between 1 and {_LARGEST_ZOOM:g}")
        require_network_size(self.width, self.height)
        if self.crop_width > self.width or self.crop_height > self.height:
            crop, size = f"{self.crop_width}x{self.crop_height}", f"{self.width}x{self.height}"
            raise UsageError(f"crop {crop}: is more than the network's {size}")
        if not (0 <= self.ema < 1 and 0 < self.depth_share <= 1):
            raise UsageError(f"ema {self.ema}, depth_share {self.depth_share}: both lie between 0 and 1")
        self._check_schedule()
        self._check_labels()

    def document(self) -> dict[str, Any]:
        """The options that decide the result, as JSON has them."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if name not in _INDIFFERENT
        }

    def extra_of_a_batch(self) -> int:
        """Stills of a batch that are of the extra labels.

        Raises:
            UsageError: it would be none of them, or all.
        """
        extra = round(self.extra_share * self.batch)
        if not 0 < extra < self.batch:
            raise UsageError(
                f"extra_share {self.extra_share}: is {extra} of a batch of {self.batch}; "
                "leave at least one for either kind of labels"
            )
        return extra

    def _check_schedule(self) -> None:
        if not 0 <= self.freeze_stages <= len(STRIDES):
            raise UsageError(f"freeze_stages {self.freeze_stages}: an encoder has {len(STRIDES)}")
        if not self.layer_decay <= 1:
            raise UsageError(f"layer_decay {self.layer_decay}: is above 0 and at most 1")
        if not 0 <= self.unfreeze_after <= 1:
            raise UsageError(f"unfreeze_after {self.unfreeze_after}: is a share of the steps, from 0 to 1")
        if self.patience and self.check_every % self.log_every:
            raise UsageError(
                f"check_every {self.check_every}: must be a multiple of log_every {self.log_every}"
            )
        if not 0 < self.validation_share < 1:
            raise UsageError(f"validation_share {self.validation_share}: lies between 0 and 1")
        try:
            re.compile(self.group_from)
        except re.error as error:
            raise UsageError(f"group_from {self.group_from!r}: is no regular expression ({error})") from None

    def _check_labels(self) -> None:
        for name, other in self.class_map.items():
            if not (name and other):
                raise UsageError(f"class_map {name}={other}: names two classes, such as car=vehicle")
        repeated = sorted({name for name in self.classes if self.classes.count(name) > 1})
        if repeated or "" in self.classes:
            raise UsageError(f"classes {','.join(self.classes)}: names each class once")
        for name in ("repeat_rare", "extra_share"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} {getattr(self, name)}: is a share, from 0 to below 1")

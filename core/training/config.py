"""How a model is trained: one frozen record that a run folder can hold and a form can draw."""

from __future__ import annotations

from dataclasses import dataclass

from core.configs import check_options, option
from core.precision_choice import PrecisionChoice
from core.training.augment import REGIMES, Regime
from core.training.optim import OptimizerName

_AUGMENTATION = "What each training image goes through. " + " ".join(
    f"{name}: {ingredients.summary}." for name, ingredients in REGIMES.items()
)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """AdamW or Muon with linear warm-up and cosine decay; the defaults suit a small ViT on CIFAR-10."""

    epochs: int = option(12, "Epochs", "Passes over the training split.", minimum=1, maximum=2000)
    batch_size: int = option(128, "Batch size", "Over all processes together.", minimum=1, maximum=8192)
    optimizer: OptimizerName = option(
        "adamw", "Optimizer", "Muon orthogonalises the updates of the matrices inside blocks; AdamW does the rest."
    )
    learning_rate: float = option(1e-3, "Learning rate", "Peak, after the warm-up.", minimum=0, maximum=1)
    weight_decay: float = option(
        0.05, "Weight decay", "On matrices only, not on norms, biases, tokens and positions.", minimum=0
    )
    warmup_share: float = option(0.05, "Warm-up", "Share of all steps over which the rate rises.", minimum=0, maximum=1)
    label_smoothing: float = option(
        0.0, "Label smoothing", "Share of the target spread evenly over all classes.", minimum=0, maximum=0.9
    )
    gradient_clip: float = option(1.0, "Gradient clip", "Largest global norm of the gradient.", minimum=0.01)
    ema_decay: float = option(0.999, "EMA decay", "Averaged weights are the ones evaluated.", minimum=0, maximum=1)
    augmentation: Regime = option("crop_flip", "Augmentation", _AUGMENTATION)
    patience: int | None = option(
        None,
        "Patience",
        "Stop after so many epochs without a better validation accuracy, and keep the weights of the best one.",
        minimum=1,
    )
    precision: PrecisionChoice = option(
        "auto", "Precision", "Of matrix products; weights stay fp32. auto: bf16 where it was measured to be faster."
    )
    compile: bool = option(False, "Compile", "torch.compile the network; pays off after a few minutes.")
    seed: int = option(0, "Seed", minimum=0)

    def __post_init__(self) -> None:
        check_options(self)

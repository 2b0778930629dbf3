"""`split` and `training` of an experiment."""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from psigraph.config.base import Section

#: A decay of Adam's.
Momentum = Annotated[float, Field(ge=0, lt=1)]


class Split(Section):
    """Who trains, validates and tests; one group never stands on two sides. Each seed draws its own split.

    Below 1, `validation` and `test` are shares of the groups; from 1 on, numbers of samples.
    """

    by: Literal["group", "system", "scaffold", "size", "random", "given"] = Field(
        "group",
        description="what stays together: group (monomer pair, molecule, target), system (of a database), scaffold (of "
        "a molecule or ligand); size: train on small molecules, test on larger ones; of complexes also random: "
        "identical ligands alone, and given: the sides that the source of the data proposes",
    )
    validation: float = Field(0.1, ge=0, description="share of the groups, or number of samples, for validation")
    test: float = Field(0.2, ge=0, description="the same for testing; ignored with folds")
    train: int | None = Field(None, ge=1, description="train on so many samples at most; null: on all that are left")
    train_heavy: int | None = Field(None, ge=1, description="size: most heavy atoms of a molecule that trains")
    test_heavy: int | None = Field(
        None, ge=2, description="size: fewest heavy atoms of a molecule that tests; null: train_heavy + 1"
    )
    draw: int | None = Field(
        None,
        ge=0,
        description="number that draws one split for all seeds, as ensembles need it; null: each seed its own",
    )
    folds: int | None = Field(
        None, ge=2, description="cross-validation: seed s tests fold s mod folds of shuffle s div folds"
    )

    @model_validator(mode="after")
    def _shares(self) -> "Split":
        for name, value in (("validation", self.validation), ("test", self.test)):
            if value >= 1 and value != int(value):
                raise ValueError(f"{name} {value}: from 1 on it is a number of samples; give a whole number")
        if self.by != "size" and sum(v for v in (self.validation, self.test) if v < 1) >= 1:
            raise ValueError(f"validation {self.validation} and test {self.test} leave nothing to train on")
        if (self.by == "size") != (self.train_heavy is not None):
            raise ValueError("split by size needs train_heavy, and nothing else does")
        if self.by in ("size", "given") and self.folds:
            raise ValueError(f"a split by {self.by} has no folds")
        if self.draw is not None and self.folds:
            raise ValueError("with folds every seed tests a fold of its own; leave draw out")
        if self.test_heavy is not None and (self.train_heavy is None or self.test_heavy <= self.train_heavy):
            raise ValueError(f"test_heavy {self.test_heavy} must be above train_heavy {self.train_heavy}")
        return self

    def numbers(self) -> dict[str, Any]:
        """Return what it says besides what stays together and who draws."""
        return self.model_dump(exclude={"by", "draw"})


class Training(Section):
    """The optimisation of one run, the same for every architecture."""

    epochs: int = Field(1500, ge=1, description="passes over the training set")
    steps: int | None = Field(
        None,
        ge=1,
        description="optimisation steps in place of `epochs`; an epoch is then at least 50 batches, in which a small "
        "training set stands several times, and the last one is a whole one; null: `epochs` counts",
    )
    batch_size: int = Field(5, ge=1, description="graphs per optimisation step, over all processes together")
    accumulate: int = Field(
        1,
        ge=1,
        description="parts a batch is computed in, to save memory; changes no result, but that regions are contrasted "
        "with those of their part, and that batch normalisation sees the parts",
    )
    lr: float = Field(1e-3, gt=0, description="maximum learning rate")
    lr_factors: dict[str, PositiveFloat] = Field(
        {}, description="factor of `lr` by the model's group of parameters; 1 for groups that are not named"
    )
    schedule: Literal["one_cycle", "warm_restarts"] = Field(
        "one_cycle", description="one_cycle: OneCycleLR; warm_restarts: cosines from `lr` to 0, over and over"
    )
    pct_start: float = Field(0.3, gt=0, lt=1, description="one_cycle: share of the steps in which the rate rises")
    min_scheduler_steps: int = Field(20, ge=1, description="one_cycle: smallest number of steps it is laid out for")
    restart_epochs: int = Field(50, ge=1, description="warm_restarts: epochs of the first cosine")
    restart_factor: int = Field(2, ge=1, description="warm_restarts: length of each cosine over the one before")
    warmup_epochs: int = Field(0, ge=0, description="warm_restarts: epochs in which the rate rises before the cosines")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay (AdamW)")
    betas: tuple[Momentum, Momentum] = Field(
        (0.9, 0.999), description="Adam's decay of the gradient and of its square; one_cycle moves the first itself"
    )
    eps: float = Field(1e-8, gt=0, description="Adam's term beside the square root of the mean squared gradient")
    clip_norm: float | None = Field(None, gt=0, description="largest norm of the gradient; null: not clipped")
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="decay of the average over steps of weights and running statistics, which is then kept; null: none",
    )
    patience: int = Field(250, ge=1, description="epochs without improvement before training stops")
    monitor: Literal["auto", "mape", "mae", "rmse", "r2", "loss"] = Field(
        "auto",
        description="validation metric that selects and stops; auto: mape for delta, for regional mae, there the mean "
        "over targets of MAE / SD of what the baseline leaves over, or the loss where encoders are pretrained; for "
        "affinity the loss. Of r2 the largest value is the best, of the others the smallest",
    )
    mape_epsilon: float = Field(0.1, gt=0, description="smallest |V_ref| in the denominator of MAPE [unit of V]")
    distance_power: float = Field(1.0, ge=0, description="p of the loss weight (R/mean R)^p; 0 switches it off")
    loss: Literal["auto", "combined", "focal"] = Field(
        "auto", description="affinity: combined, as loss_weights say; focal: large errors count more; auto: combined"
    )
    loss_weights: dict[Literal["mse", "mae", "huber"], NonNegativeFloat] = Field(
        {"mse": 1.0, "mae": 0.5, "huber": 0.3}, description="combined: weights of its terms; 0 for those not named"
    )
    focal_gamma: float = Field(2.0, ge=0, description="focal: gamma of alpha (1 - exp(-|e|/s))^gamma e^2")
    focal_alpha: float = Field(1.0, gt=0, description="focal: alpha of the same")
    rotate: bool = Field(True, description="rotate every training dimer at random, afresh each epoch")
    jitter: float = Field(0.01, ge=0, description="SD of the Gaussian noise on training positions [Å]; 0: none")
    translate: float = Field(
        0.0, ge=0, description="affinity: largest random shift of the grid's centre along each axis in training [Å]"
    )
    noise: float = Field(0.0, ge=0, description="affinity: SD of the Gaussian noise on training grids [density]")
    log_every: int = Field(10, ge=1, description="epochs between log lines")
    precision: Literal["auto", "float32", "float64", "bfloat16", "float16"] = Field(
        "auto",
        description="auto: bfloat16 on GPUs of capability 8.0 and above, else float16 with scaling, float32 on CPU",
    )
    execution: Literal["auto", "kernel", "compile", "torch"] = Field(
        "auto",
        description="how models are computed: kernel (fused, built at set-up), compile (torch.compile) or plain torch; "
        "auto: the fastest there is; all give the same to rounding, and what fails falls back to plain torch",
    )
    max_bad_batches: float = Field(0.01, ge=0, le=1, description="stop where more of an epoch's batches fail")
    checkpoint_minutes: float = Field(10, gt=0, description="time between checkpoints within an epoch [min]")
    threads: int = Field(1, ge=1, description="CPU threads of one training job")
    memory_mb: int = Field(4000, ge=500, description="memory of one training job [MB]")
    runtime_min: int = Field(120, ge=1, description="time limit of one training job on a cluster [min]")

    @model_validator(mode="after")
    def _warm_up(self) -> "Training":
        if self.warmup_epochs and self.schedule != "warm_restarts":
            raise ValueError(
                f"warmup_epochs {self.warmup_epochs} is for schedule warm_restarts; one_cycle rises in pct_start"
            )
        return self

    @model_validator(mode="after")
    def _some_loss(self) -> "Training":
        if not any(self.loss_weights.values()):
            raise ValueError(f"loss_weights {self.loss_weights}: one of mse, mae and huber must be above 0")
        return self

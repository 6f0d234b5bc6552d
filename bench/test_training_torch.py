"""Trials a second against PyTorch, one configuration at a time, and against the machine's peak.

The reference task: 32 features, 8,000 rows a fold, 5 folds, AdamW, dropout, steps of 256 rows.
PyTorch is written as it usually is: data on the device, a module, an optimizer, a loop; it
gets the better of one thread and all. The perceptron trains 300 steps on both sides, families
that look back over 16 bars fewer (`STEPS`), and both sides as many. Compilation is apart.

The same perceptron in both, with the same weights and minibatches, gives the same scores
before anything is timed. Peak is the best float32 matrix product of NumPy and PyTorch in the
same run. Floating-point operations count products alone: forwards, weights' gradients, and
inputs' gradients where there is a layer below.
"""

from __future__ import annotations

import statistics
import time
from itertools import pairwise

import jax
import numpy as np
import pytest

from windtunnel.config.study import ModelSection, TrainingSection
from windtunnel.protocols import TrainingTask
from windtunnel.trainers import devices

devices.configure_cpu()

from windtunnel.trainers import minibatches, optimiser  # noqa: E402 - JAX is set up above
from windtunnel.trainers.supervised_trainer import SupervisedTrainer  # noqa: E402 - the same

torch = pytest.importorskip("torch")
nn = torch.nn

SEED, FOLDS, FEATURES, INSTRUMENTS, SLICE, BATCH, WINDOW, WIDTH = 7, 5, 32, 5, 348, 256, 16, 32
STEPS = {"mlp": 300, "gru": 40, "tcn": 40, "transformer": 10}
COHORTS = {"mlp": 64, "gru": 16, "tcn": 16, "transformer": 16}
SIZES, FLAT_STEPS = (16, 64, 256, 1024, 4096), 100


def make_task() -> TrainingTask:
    rng = np.random.default_rng(3)
    bars, train_bars = 3500, 1600
    x = rng.normal(0.5, 2, (bars, INSTRUMENTS, FEATURES)).astype(np.float32)
    y = (x[..., 0] + rng.normal(0, 2, (bars, INSTRUMENTS)) > 0.5).astype(np.float32)
    train = np.zeros((FOLDS, bars, INSTRUMENTS), bool)
    slices = []
    for fold in range(FOLDS):
        start = bars - SLICE * (FOLDS - fold)
        train[fold, start - 10 - train_bars : start - 10] = True
        slices.append((start, start + SLICE))
    return TrainingTask(x, y, train, tuple(slices), "direction")


def make_hyper(count: int, dropout: float | None = None) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    return {
        "learning_rate": 10 ** rng.uniform(-4, -2, count),
        "weight_decay": 10 ** rng.uniform(-6, -1, count),
        "dropout": rng.uniform(0.05, 0.5, count) if dropout is None else np.full(count, dropout),
        "label_smoothing": np.zeros(count),
    }


def make_trainer(task: TrainingTask, family: str, steps: int) -> SupervisedTrainer:
    depth = {"gru": 1}.get(family, 2)
    model = ModelSection(family=family, width=WIDTH, depth=depth, window=WINDOW)
    training = TrainingSection(steps=steps, batch_size=BATCH)
    return SupervisedTrainer(task, model, training, SEED)


class Convolutions(nn.Module):
    """Dilated causal convolutions of two taps over the whole window, as usually written."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.taps = nn.ModuleList(
            nn.Conv1d(FEATURES if layer == 0 else WIDTH, WIDTH, 2, dilation=2**layer)
            for layer in range(4)
        )
        self.dropout, self.head = nn.Dropout(dropout), nn.Linear(WIDTH, 1)

    def forward(self, x):
        h = x.transpose(1, 2)
        for layer, taps in enumerate(self.taps):
            h = h + self.dropout(torch.relu(taps(nn.functional.pad(h, (2**layer, 0)))))
        return self.head(h[:, :, -1])


class Attention(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.embed = nn.Linear(FEATURES, WIDTH)
        self.positions = nn.Parameter(torch.zeros(WINDOW, WIDTH))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                WIDTH, 2, 2 * WIDTH, dropout, batch_first=True, norm_first=True
            )
            for _ in range(2)
        )
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 1)
        self.mask = nn.Transformer.generate_square_subsequent_mask(WINDOW)

    def forward(self, x):
        h = self.embed(x) + self.positions
        for block in self.blocks:
            h = block(h, src_mask=self.mask, is_causal=True)
        return self.head(self.norm(h[:, -1]))


class Recurrent(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.cells = nn.GRU(FEATURES, WIDTH, batch_first=True)
        self.dropout, self.head = nn.Dropout(dropout), nn.Linear(WIDTH, 1)

    def forward(self, x):
        return self.head(self.dropout(self.cells(x)[0][:, -1]))


def perceptron(dropout: float):
    return nn.Sequential(
        nn.Linear(FEATURES, WIDTH),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(WIDTH, WIDTH),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(WIDTH, 1),
    )


MODULES = {"mlp": perceptron, "gru": Recurrent, "tcn": Convolutions, "transformer": Attention}


class OneAtATime:
    """PyTorch's side: standardised rows or windows of every fold, laid out beforehand."""

    def __init__(self, task: TrainingTask, trainer: SupervisedTrainer, family: str) -> None:
        self.family, self.steps = family, trainer.steps
        flat = task.features
        if family != "mlp":
            view = np.lib.stride_tricks.sliding_window_view(flat, WINDOW, axis=0)
            flat = np.moveaxis(view, 3, 2)
            flat = np.concatenate([np.zeros_like(flat[: WINDOW - 1]), flat])
        self.folds = []
        for fold in range(FOLDS):
            rows = task.train[fold]
            x = (flat[rows] - trainer.mean[fold]) / trainer.scale[fold]
            self.folds.append((torch.tensor(x), torch.tensor(task.labels[rows]), fold))

    def fold(self, which: int, rate: float, decay: float, dropout: float, given=None):
        """Train one fold; `given` is (module, positions) to repeat what another has done."""
        x, y, _ = self.folds[which]
        module = MODULES[self.family](dropout) if given is None else given[0]
        adamw = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=decay)
        pace = optimiser.schedule(self.steps)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            adamw, [float(pace(s)) for s in range(self.steps + 1)].__getitem__
        )
        loss_of = nn.BCEWithLogitsLoss()
        for step in range(self.steps):
            rows = torch.randint(len(x), (BATCH,)) if given is None else given[1][step]
            adamw.zero_grad()
            loss = loss_of(module(x[rows])[:, 0], y[rows])
            loss.backward()
            adamw.step()
            schedule.step()
        return module, float(loss.detach())

    def trial(self, hyper: dict[str, np.ndarray], lane: int) -> list[float]:
        values = [float(hyper[n][lane]) for n in ("learning_rate", "weight_decay", "dropout")]
        return [self.fold(which, *values)[1] for which in range(FOLDS)]


def seconds(call) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def peak_gflops() -> float:
    """The best float32 matrix product that NumPy and PyTorch make on all cores."""
    size = 2048
    a = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    t = torch.tensor(a)
    torch.set_num_threads(devices.cores())
    best = min(seconds(call) for call in (lambda: a @ a, lambda: t @ t) for _ in range(5))
    return 2 * size**3 / best / 1e9


def perceptron_flops(steps: int) -> float:
    widths = (FEATURES, WIDTH, WIDTH, 1)
    layers = [a * b for a, b in pairwise(widths)]
    return (6 * sum(layers) - 2 * layers[0]) * BATCH * steps * FOLDS


def same_scores(trainer: SupervisedTrainer, rival: OneAtATime, task: TrainingTask) -> None:
    """Weights and minibatches of ours in PyTorch, without dropout: the scores must agree."""
    hyper = {
        k: np.array([v])
        for k, v in {
            "learning_rate": 1e-3,
            "weight_decay": 1e-3,
            "dropout": 0.0,
            "label_smoothing": 0.0,
        }.items()
    }
    start, stop = task.validation[0]
    own = trainer.fit(hyper).scores[: stop - start, :, 0]
    initial, key = minibatches.model_keys(SEED, 0, 0)
    params = trainer.network.module.init(initial, np.zeros((1, FEATURES), np.float32))["params"]
    module = perceptron(0.0)
    with torch.no_grad():
        for at, name in zip((0, 3, 6), ("hidden_0", "hidden_1", "head"), strict=True):
            module[at].weight.copy_(torch.tensor(np.array(params[name]["kernel"]).T))
            module[at].bias.copy_(torch.tensor(np.array(params[name]["bias"])))
    units, count = trainer.network.module.masked_units, len(rival.folds[0][0])
    draw = jax.jit(lambda step: minibatches.draw(key, step, BATCH, count, units).positions)
    rows = [torch.tensor(np.array(draw(step))) for step in range(rival.steps)]
    module, _ = rival.fold(0, 1e-3, 1e-3, 0.0, given=(module, rows))
    x = (task.features[start:stop] - trainer.mean[0]) / trainer.scale[0]
    with torch.no_grad():
        theirs = 2 * torch.sigmoid(module(torch.tensor(x))[..., 0]).numpy() - 1
    np.testing.assert_allclose(theirs, own, atol=5e-3)


@pytest.mark.parametrize("family", MODULES)
def test_against_pytorch(benchmark, family) -> None:
    task, steps, cohort = make_task(), STEPS[family], COHORTS[family]
    trainer, hyper = make_trainer(task, family, steps), make_hyper(cohort)
    trainer.fit(hyper)
    rival = OneAtATime(task, trainer, family)
    if family == "mlp":
        same_scores(trainer, rival, task)
    rates: dict[str, list[float]] = {"cohort": []}
    for _ in range(2):
        rates["cohort"].append(cohort / seconds(lambda: trainer.fit(hyper)))
        for threads in sorted({1, devices.cores()}):
            torch.set_num_threads(threads)
            took = seconds(lambda: rival.trial(hyper, 0))
            rates.setdefault(f"torch, {threads} threads", []).append(1 / took)
    found = {name: statistics.median(each) for name, each in rates.items()}
    torch_best = max(rate for name, rate in found.items() if name != "cohort")
    print(f"\n{family}: {steps} steps of {BATCH}, {FOLDS} folds, cohort of {cohort}")
    for name, rate in found.items():
        print(f"  {name:18s} {rate:8.2f} trials/s")
    print(f"  ratio to the better PyTorch {found['cohort'] / torch_best:.1f}", end="")
    print(f"; compiled in {sum(each.seconds for each in trainer.compilations):.1f} s")
    extra = {"trials_a_second": found, "ratio": found["cohort"] / torch_best}
    if family == "mlp":
        peak = peak_gflops()
        reached = found["cohort"] * perceptron_flops(steps) / 1e9
        print(f"  {reached:.0f} of {peak:.0f} GFLOP/s: {reached / peak:.0%} of peak")
        extra |= {"gflops": reached, "peak_gflops": peak, "share_of_peak": reached / peak}
    benchmark.extra_info.update(extra)
    benchmark.pedantic(trainer.fit, args=(hyper,), rounds=1)
    assert found["cohort"] > torch_best


def test_flat_over_cohort_sizes(benchmark) -> None:
    """The rate per configuration, from 16 to 4,096 in one call; fewer steps, the same work."""
    task = make_task()
    trainer = make_trainer(task, "mlp", FLAT_STEPS)
    answers = {size: trainer.fit(make_hyper(SIZES[-1]) | {}) for size in SIZES[-1:]}
    whole = answers[SIZES[-1]].scores
    rates = {}
    for size in SIZES:
        hyper = {name: values[:size] for name, values in make_hyper(SIZES[-1]).items()}
        fit = trainer.fit(hyper)
        np.testing.assert_array_equal(fit.scores, whole[:, :, :size])
        times = [seconds(lambda h=hyper: trainer.fit(h)) for _ in range(max(1, 256 // size))]
        rates[size] = size / statistics.median(times)
    print()
    for size, rate in rates.items():
        print(f"  cohort of {size:5d}: {rate:7.1f} trials/s of {FLAT_STEPS} steps")
    spread = max(rates.values()) / min(rates.values())
    print(f"  fastest to slowest {spread:.2f}; slab {trainer.plan.slab}")
    benchmark.extra_info.update(trials_a_second={str(k): v for k, v in rates.items()})
    benchmark.pedantic(trainer.fit, args=(make_hyper(16),), rounds=1)

"""PyTorch's side of the benches: the reference task, and one configuration at a time on it."""

from __future__ import annotations

import time

import numpy as np
import pytest

from windtunnel.config.study import ModelSection, TrainingSection
from windtunnel.protocols import TrainingTask
from windtunnel.trainers import devices

devices.configure_cpu()

from windtunnel.trainers import optimiser  # noqa: E402 - JAX is set up above
from windtunnel.trainers.supervised_trainer import SupervisedTrainer  # noqa: E402 - the same

torch = pytest.importorskip("torch")
nn = torch.nn

SEED, FOLDS, FEATURES, INSTRUMENTS, SLICE, BATCH, WINDOW, WIDTH = 7, 5, 32, 5, 348, 256, 16, 32


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
        self.trainer, self.family, self.steps = trainer, family, trainer.steps
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

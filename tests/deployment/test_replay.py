from __future__ import annotations

import numpy as np
import pytest

from windtunnel.deployment.bundle import load_bundle
from windtunnel.deployment.manifest import Policy
from windtunnel.deployment.replay import certify, replay
from windtunnel.deployment.replay_equity import replay_equity
from windtunnel.errors import BundleError

POLICY = Policy(enter=0.2, exit=0.1, leverage=1.0, long_only=True, band=0.0)


def test_bundle_replays(bundle_path, maker):
    certificate = replay(load_bundle(bundle_path))
    assert certificate.ok, certificate.sentence
    assert certificate.bars == maker.WINDOW
    assert certificate.instruments == 5
    assert 300 < certificate.scores < 400  # one of five is not listed from the start
    assert certificate.exposures > certificate.scores  # listed while its features warm up
    assert 0 < certificate.largest_score_difference < 1e-6
    assert "replay within 1e-05" in certificate.sentence


def test_scores_of_another_model_do_not_replay(maker, example, tmp_path):
    other = maker.random_params(example.features, seed=4)
    certificate = replay(load_bundle(maker.export_example(example, tmp_path / "b", params=other)))
    assert not certificate.ok
    assert certificate.score_mismatches > 300
    assert "differ by more than 1e-05" in certificate.sentence


def test_exposures_of_another_policy_do_not_replay(maker, example, tmp_path):
    other = maker.POLICY.model_copy(update={"enter": 0.5})
    path = maker.export_example(example, tmp_path / "b", policy=other)
    certificate = replay(load_bundle(path))
    assert not certificate.ok
    assert certificate.score_mismatches == 0
    assert certificate.exposure_mismatches > 0


def test_another_order_of_features_does_not_replay(maker, example, tmp_path):
    features = (*maker.FEATURES[1:], maker.FEATURES[0])
    certificate = replay(
        load_bundle(maker.export_example(example, tmp_path / "b", features=features))
    )
    assert not certificate.ok


def column(*values, dtype=np.float64):
    return np.array(values, dtype)[:, None]


def scores(*values):
    return column(*values, dtype=np.float32)


def test_difference_at_a_threshold_is_excused_until_both_agree_again():
    # The second score is 0.2 to rounding; the signal it opens lasts for two more bars.
    expected = scores(0, 0.2, 0.15, 0.15, 0, 0.3)
    found = expected + scores(0, 1e-6, 0, 0, 0, 0)
    certificate = certify(
        found, column(0, 1, 1, 1, 0, 1), expected, column(0, 0, 0, 0, 0, 1), policy=POLICY
    )
    assert certificate.ok
    assert certificate.near_threshold == 3
    assert certificate.exposure_mismatches == 0
    assert "3 of them excused" in certificate.sentence


def test_difference_away_from_a_threshold_is_not_excused():
    expected = scores(0, 0.25, 0.15)
    certificate = certify(expected, column(0, 1, 1), expected, column(0, 0, 1), policy=POLICY)
    assert not certificate.ok
    assert certificate.exposure_mismatches == 1


def test_excuse_ends_where_both_agree():
    expected = scores(0.2, 0, 0.15)
    certificate = certify(expected, column(1, 0, 1), expected, column(0, 0, 0), policy=POLICY)
    assert certificate.near_threshold == 1
    assert certificate.exposure_mismatches == 1
    assert not certificate.ok


@pytest.mark.parametrize(
    ("found", "expected", "mismatches"),
    [
        ((0.3, 0.3), (0.3, 0.3), 0),
        ((0.3, 0.300009), (0.3, 0.3), 0),
        ((0.3, 0.30002), (0.3, 0.3), 1),
        ((0.3, np.nan), (0.3, 0.3), 1),
        ((0.3, 0.3), (0.3, np.nan), 1),
        ((0.3, np.nan), (0.3, np.nan), 0),
    ],
)
def test_scores_are_compared_within_the_tolerance(found, expected, mismatches):
    same = column(1, 1)
    certificate = certify(scores(*found), same, scores(*expected), same, policy=POLICY)
    assert certificate.score_mismatches == mismatches
    assert certificate.ok == (mismatches == 0)


def test_nothing_shown_is_not_ok():
    nothing, flat = scores(np.nan, np.nan), column(0, 0)
    certificate = certify(nothing, flat, nothing, flat, policy=POLICY)
    assert not certificate.ok
    assert "no defined score" in certificate.sentence


def test_equity_of_the_oracle_replays(bundle_path, maker):
    certificate = replay_equity(load_bundle(bundle_path))
    assert certificate.ok
    assert certificate.bars == maker.WINDOW
    assert certificate.largest_difference < 1e-12
    assert "Equity on 80 bars replays within 1e-09" in certificate.sentence


@pytest.mark.parametrize(
    "account",
    [
        {"costs": {"fee": 3e-4, "half_spread": 1e-4, "borrow_apr": 0.01, "financing_apr": 0.03}},
        {"initial_cash": 100_001.0},
        {"maintenance": 0.99},
    ],
)
def test_equity_of_another_account_does_not_replay(maker, example, tmp_path, account):
    other = maker.ACCOUNT.model_copy(update=account)
    bundle = load_bundle(maker.export_example(example, tmp_path / "b", account=other))
    certificate = replay_equity(bundle)
    assert not certificate.ok
    assert "Equity differs on" in certificate.sentence
    assert replay(bundle).ok, "the decisions are the same"


def test_account_that_this_engine_does_not_know_is_named(maker, example, tmp_path):
    costs = {**maker.ACCOUNT.costs, "stamp_duty": 0.005}
    other = maker.ACCOUNT.model_copy(update={"costs": costs})
    bundle = load_bundle(maker.export_example(example, tmp_path / "b", account=other))
    with pytest.raises(BundleError, match=r"its account cannot be backtested: .*stamp_duty"):
        replay_equity(bundle)


def test_equity_that_was_not_looked_at_is_not_invented(maker, example, tmp_path):
    last = example.first + maker.WINDOW
    window = maker.replay_frame(
        example.panel,
        (example.first, last),
        example.scores[example.first : last],
        example.exposures,
        context=example.warmup,
    )
    bundle = load_bundle(maker.export_example(example, tmp_path / "b", replay=window))
    certificate = replay_equity(bundle)
    assert (certificate.ok, certificate.bars) == (True, 0)
    with pytest.raises(BundleError, match=r"equity: must be \(window,\) = \(80,\), got \(3,\)"):
        maker.replay_frame(
            example.panel,
            (example.first, last),
            example.scores[example.first : last],
            example.exposures,
            context=example.warmup,
            equity=np.ones(3),
        )

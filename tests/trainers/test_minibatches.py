from __future__ import annotations

import jax
import numpy as np
import pytest

from windtunnel.trainers import minibatches

_, KEY = minibatches.model_keys(7, 0, 0)


def test_positions_cover_the_rows_evenly():
    steps = jax.vmap(lambda step: minibatches.draw(KEY, step, 100, 10, 0).positions)
    drawn = np.asarray(steps(np.arange(100)))
    assert drawn.dtype == np.int32
    counts = np.bincount(drawn.reshape(-1), minlength=10)
    assert counts.size == 10
    # 10,000 draws over 10 rows: 1,000 each, standard deviation 30.
    assert (np.abs(counts - 1000) < 5 * 30).all()


@pytest.mark.parametrize("units", [1, 4, 25])
def test_bits_are_uniform_bytes(units):
    bits = np.asarray(minibatches.draw(KEY, 3, 400, 10, units).bits)
    assert bits.dtype == np.uint8
    assert bits.shape == (400, units)
    # A uniform byte has standard deviation 73.9.
    assert abs(bits.mean() - 127.5) < 5 * 73.9 / np.sqrt(bits.size)
    if units > 1:
        columns = np.corrcoef(bits.T)
        assert np.abs(columns - np.eye(units)).max() < 5 / np.sqrt(400)


def test_bits_of_neighbouring_rows_and_steps_have_nothing_in_common():
    one, other = (
        np.asarray(minibatches.draw(KEY, step, 4000, 10, 8).bits, float) for step in (0, 1)
    )
    pairs = [(one[1:], one[:-1]), (one[2:], one[:-2]), (one, other), (one[:, :4], one[:, 4:])]
    for left, right in pairs:
        found = np.corrcoef(left.ravel(), right.ravel())[0, 1]
        assert abs(found) < 5 / np.sqrt(left.size)


def test_every_level_of_a_byte_is_as_frequent():
    bits = np.asarray(minibatches.draw(KEY, 9, 8192, 10, 32).bits)
    counts = np.bincount(bits.ravel(), minlength=256)
    expected = bits.size / 256
    # Chi-squared with 255 degrees of freedom: mean 255, standard deviation 22.6.
    assert abs(((counts - expected) ** 2 / expected).sum() - 255) < 5 * 22.6


def test_no_units_no_bits():
    assert minibatches.draw(KEY, 3, 400, 10, 0).bits is None


def test_bits_tell_nothing_of_positions():
    drawn = minibatches.draw(KEY, 3, 4000, 2, 4)
    bits = np.asarray(drawn.bits, float)
    heads = np.asarray(drawn.positions, float)
    assert max(abs(np.corrcoef(heads, bits[:, u])[0, 1]) for u in range(4)) < 5 / np.sqrt(4000)


def test_draws_differ_by_seed_fold_seed_index_and_step():
    places = [(7, 0, 0), (8, 0, 0), (7, 1, 0), (7, 0, 1)]
    keys = [minibatches.model_keys(*place) for place in places]
    draws = {
        np.asarray(minibatches.draw(key, step, 64, 1000, 0).positions).tobytes()
        for _, key in keys
        for step in (0, 1)
    }
    assert len(draws) == 8
    assert len({jax.random.key_data(initial).tobytes() for initial, _ in keys}) == 4

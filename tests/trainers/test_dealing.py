"""Every chunk of every fold is somebody's, nobody's share is larger than it has to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.trainers.dealing import deal, needed_places


@given(
    st.integers(1, 40), st.integers(1, 4), st.integers(1, 7), st.integers(1, 5), st.integers(0, 3)
)
def test_every_model_has_one_place(lanes, width, folds, devices, spare):
    room = needed_places(lanes, width, folds, devices) + spare
    found = deal(lanes, width, folds, devices, room)
    own = np.zeros((devices * room, width), int)
    for device, fold in np.ndindex(devices, folds):
        for place in range(*found.bounds[device, fold]):
            assert place < room
            assert found.fold[device * room + place] == fold
            own[device * room + place] += 1
    assert own.max() == 1
    # Numbers made at the places come home to fold and lane.
    made = found.fold[:, None] * 1000 + found.lane
    expected = np.arange(folds)[:, None] * 1000 + np.arange(lanes)
    np.testing.assert_array_equal(found.gather(np.where(own > 0, made, -1), 0), expected)
    # And go out to where they came from.
    state = np.broadcast_to(expected[:, None], (folds, 2, lanes))
    np.testing.assert_array_equal(found.spread(state)[1], made)


@pytest.mark.parametrize(("devices", "folds"), [(2, [3, 3]), (3, [2, 3, 2])])
def test_a_device_has_few_folds(devices, folds):
    """What the lanes of a fold share is made on as few devices as may be."""
    found = deal(64, 2, 5, devices, needed_places(64, 2, 5, devices))
    has = found.bounds[..., 1] > found.bounds[..., 0]
    assert has.sum(axis=1).tolist() == folds

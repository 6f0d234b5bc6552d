"""Rows in Arrow's stream format, as other libraries write them."""

from __future__ import annotations

import io
import struct

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.serving.arrow import ARROW, _messages, read_arrow
from windtunnel.serving.refusal import Refusal

NAMES = ("a_1", "b_2", "c_3", "d_4", "e_5", "f_6")


def rows_of(random, count):
    return random.normal(size=(count, len(NAMES))).astype(np.float32)


def polars_stream(frame, **options):
    stream = io.BytesIO()
    frame.write_ipc_stream(stream, **options)
    return stream.getvalue()


def pyarrow_stream(frame):
    pa = pytest.importorskip("pyarrow")
    table = frame.to_arrow()
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        for batch in table.to_batches():
            writer.write_batch(batch)
    return stream.getvalue()


def columns(rows, order=NAMES, dtype=pl.Float32):
    place = {name: i for i, name in enumerate(NAMES)}
    return pl.DataFrame({name: pl.Series(rows[:, place[name]], dtype=dtype) for name in order})


def lists(rows):
    return pl.DataFrame({"x": pl.Series(rows, dtype=pl.Array(pl.Float32, rows.shape[1]))})


@pytest.mark.parametrize("write", [polars_stream, pyarrow_stream])
@given(st.data())
def test_rows_are_those_that_were_written(write, data):
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    count = data.draw(st.one_of(st.integers(1, 5), st.sampled_from([64, 65, 200])))
    order = data.draw(st.permutations(NAMES))
    make = data.draw(
        st.sampled_from(
            [
                lists,
                lambda rows: columns(rows, order),
                lambda rows: columns(rows, order, pl.Float64),
                lambda rows: columns(rows, order).with_columns(pl.col("c_3").cast(pl.Float64)),
            ]
        )
    )
    for _ in range(2):  # the second time the layout is known, and the numbers are others
        rows = rows_of(random, count)
        np.testing.assert_array_equal(read_arrow(write(make(rows)), NAMES), rows, strict=True)


def test_several_batches_are_one_after_the_other():
    pa = pytest.importorskip("pyarrow")
    rows = rows_of(np.random.default_rng(0), 10)
    table = columns(rows).to_arrow()
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        for first, last in ((0, 1), (1, 1), (1, 7), (7, 10)):
            writer.write_table(table.slice(first, last - first))
    np.testing.assert_array_equal(read_arrow(stream.getvalue(), NAMES), rows)


def test_a_known_beginning_says_nothing_of_what_follows():
    rows = rows_of(np.random.default_rng(0), 2)
    body = polars_stream(columns(rows))
    end = body[-8:]
    np.testing.assert_array_equal(read_arrow(body, NAMES), rows)
    np.testing.assert_array_equal(read_arrow(body[:-8], NAMES), rows)  # an end may be left out
    for wrong in (body[:-8] + b"\xff" * 3, body[:-9], body[:-8] + b"\x00" * 8 + end):
        with pytest.raises(Refusal):
            read_arrow(wrong, NAMES)
    batch = body[body.index(b"\xff\xff\xff\xff", 4) : -8]
    twice = np.concatenate([rows, rows])
    np.testing.assert_array_equal(read_arrow(body[:-8] + batch + end, NAMES), twice)
    with pytest.raises(Refusal, match="is missing"):
        read_arrow(body, (*NAMES[:-1], "other"))


ROWS = rows_of(np.random.default_rng(1), 3)
FRAME = columns(ROWS)
REFUSED = {
    "nothing": (b"", "body", "is empty"),
    "no stream": (b"{}" * 20, "body", "is no Arrow stream"),
    "no rows": (polars_stream(FRAME.head(0)), "body", "holds no row"),
    "a null": (
        polars_stream(FRAME.with_columns(b_2=pl.Series([1.0, None, 2.0], dtype=pl.Float32))),
        "body.b_2",
        "has nulls",
    ),
    "a column too few": (polars_stream(FRAME.drop("d_4")), "body.d_4", "is missing"),
    "a column too many": (
        polars_stream(FRAME.with_columns(z=pl.lit(1.0))),
        "body.z",
        "is not a feature of this model",
    ),
    "integers": (
        polars_stream(FRAME.with_columns(pl.col("a_1").cast(pl.Int32))),
        "body.a_1",
        "must be a column of float32 or float64",
    ),
    "text": (
        polars_stream(FRAME.with_columns(pl.col("a_1").cast(pl.String))),
        "body.a_1",
        "must be a column of float32 or float64",
    ),
    "compressed": (polars_stream(FRAME, compression="zstd"), "body", "is compressed"),
    "short lists": (polars_stream(lists(ROWS[:, :5])), "body.x", "has lists of 5 numbers"),
    "lists of float64": (
        polars_stream(pl.DataFrame({"x": pl.Series(ROWS, dtype=pl.Array(pl.Float64, 6))})),
        "body.x",
        "must be lists of float32",
    ),
    "not a number": (
        polars_stream(columns(np.where(np.arange(18).reshape(3, 6) == 8, np.nan, ROWS))),
        "features[1][2]",
        "is not a finite number",
    ),
    "infinity": (
        polars_stream(lists(np.where(np.arange(18).reshape(3, 6) == 8, np.inf, ROWS))),
        "features[1][2]",
        "is not a finite number",
    ),
    "beyond float32": (
        polars_stream(columns(np.full((1, 6), 1e39), dtype=pl.Float64)),
        "features[0][0]",
        "is not a finite number of float32",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    body, field, problem = REFUSED[case]
    with pytest.raises(Refusal, match=problem) as refused:
        read_arrow(body, NAMES)
    assert refused.value.field == field
    assert refused.value.status == 422


def test_a_file_is_no_stream():
    file = io.BytesIO()
    FRAME.write_ipc(file)
    with pytest.raises(Refusal, match="is no Arrow stream"):
        read_arrow(file.getvalue(), NAMES)


def test_a_stream_that_is_cut_off_is_refused():
    for body in (polars_stream(FRAME), polars_stream(lists(ROWS))):
        for length in range(len(body) - 8):
            with pytest.raises(Refusal):
                read_arrow(body[:length], NAMES)


def header_of(body, message):
    """The header of a message, and where its bytes begin in the body."""
    _, table, _, _ = list(_messages(bytes(body)))[message]
    return table, bytes(body).index(table.buffer)


@pytest.mark.parametrize("children", [0, 2])
def test_a_list_has_one_kind_of_numbers(children):
    body = bytearray(polars_stream(lists(ROWS)))
    schema, start = header_of(body, 0)
    at, count = schema.tables(1)[0]._vector(5, 4)
    assert count == 1
    body[start + at - 4 : start + at] = struct.pack("<I", children)
    with pytest.raises(Refusal):
        read_arrow(bytes(body), NAMES)


def test_columns_have_numbers_of_their_own():
    """One buffer for all columns would make a small body a large matrix."""
    body = bytearray(polars_stream(columns(rows_of(np.random.default_rng(3), 1000))))
    batch, start = header_of(body, 1)
    count = 1000 * len(NAMES)
    struct.pack_into("<q", body, start + batch._place(0), count)
    nodes, buffers = (batch._vector(field, 16)[0] + start for field in (1, 2))
    for column in range(len(NAMES)):
        struct.pack_into("<qq", body, nodes + 16 * column, count, 0)
        struct.pack_into("<qq", body, buffers + 16 * (2 * column + 1), 0, 4 * count)
    with pytest.raises(Refusal, match="columns overlap"):
        read_arrow(bytes(body), NAMES)


@given(st.data())
def test_damage_is_refused_or_does_no_harm(data):
    """Whatever the bytes are: rows of the right width, or a refusal, and nothing else."""
    body = bytearray(data.draw(st.sampled_from([polars_stream(FRAME), polars_stream(lists(ROWS))])))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(body) - 1))
        value = data.draw(st.integers(0, 255) | st.sampled_from([0x7F, 0x80, 0xFF]))
        body[at] = value
    try:
        rows = read_arrow(bytes(body), NAMES)
    except Refusal:
        return
    assert rows.shape[1] == len(NAMES)
    assert np.isfinite(rows).all()


def test_arrow_json_and_float32_get_the_same_scores(client, example, maker):
    random = np.random.default_rng(2)
    for count in (1, 3, 40):
        rows = example.features[-40:].reshape(-1, 6)[random.permutation(200)[:count]]
        by_json = client.post("/v1/predict", json={"features": rows.tolist()}).json()["scores"]
        named = pl.DataFrame(dict(zip(maker.FEATURES, rows.T, strict=True)))
        sent = [
            ("application/octet-stream", rows.tobytes()),
            (ARROW, polars_stream(named.select(reversed(maker.FEATURES)))),
            (f"{ARROW}; version=1", polars_stream(lists(rows))),
        ]
        for kind, body in sent:
            answer = client.post("/v1/predict", content=body, headers={"content-type": kind})
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"] == "application/octet-stream"
            got = np.frombuffer(answer.content, "<f4")
            np.testing.assert_array_equal(got, np.array(by_json, np.float32))
    answer = client.post("/v1/predict", content=body[:40], headers={"content-type": ARROW})
    assert answer.status_code == 422
    assert answer.json()["field"] == "body"

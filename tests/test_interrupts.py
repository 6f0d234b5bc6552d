"""Ctrl-C waits for the block, and is not lost."""

from __future__ import annotations

import signal
import threading

import pytest

from windtunnel.interrupts import held_back


def test_interrupt_comes_after_the_block() -> None:
    before = signal.getsignal(signal.SIGINT)
    finished = []

    def write() -> None:
        with held_back():
            signal.raise_signal(signal.SIGINT)
            finished.append(True)

    with pytest.raises(KeyboardInterrupt):
        write()
    assert finished
    assert signal.getsignal(signal.SIGINT) is before


def test_error_in_the_block_wins_and_the_handler_returns() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="mine"), held_back():
        raise ValueError("mine")
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_are_left_alone() -> None:
    ran = []

    def work() -> None:
        with held_back():
            ran.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ran

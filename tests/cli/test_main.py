"""``main`` in a program of somebody else: its signal handlers, its threads, its streams."""

from __future__ import annotations

import io
import signal
import sys
import threading

import pytest

from aecodec.cli import main, models


@pytest.fixture
def theirs(monkeypatch):
    """A handler of the program's own."""

    def handler(*_: object) -> None:
        """Do nothing."""

    before = signal.signal(signal.SIGTERM, handler)
    yield handler
    signal.signal(signal.SIGTERM, before)


def test_main_runs_in_any_thread(theirs, capsys):
    found = []
    thread = threading.Thread(target=lambda: found.append(main(["models"])))
    thread.start()
    thread.join()
    assert found == [0]
    assert "mnist" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGTERM) is theirs


def fail_with(error: BaseException):
    """A command that ends so."""

    def run(_: object) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, 0), (KeyboardInterrupt(), 130), (OSError("no"), 1), (KeyError("a fault"), None)],
)
def test_handlers_are_those_of_the_program_afterwards(error, status, theirs, monkeypatch):
    if error is not None:
        monkeypatch.setattr(models, "run", fail_with(error))
    if status is None:
        with pytest.raises(KeyError):
            main(["models"])
    else:
        assert main(["models"]) == status
    assert signal.getsignal(signal.SIGTERM) is theirs


def test_mistakes_leave_the_handlers_alone(theirs, capsys):
    with pytest.raises(SystemExit):
        main(["models", "--no-such-option"])
    assert signal.getsignal(signal.SIGTERM) is theirs
    assert "no-such-option" in capsys.readouterr().err


def test_sigterm_interrupts_a_command(theirs, monkeypatch, capsys):
    def run(_: object) -> int:
        signal.raise_signal(signal.SIGTERM)
        return 0

    monkeypatch.setattr(models, "run", run)
    assert main(["models"]) == 143
    assert "interrupted" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is theirs


def test_a_handler_that_cannot_be_put_back_stays(theirs, monkeypatch):
    """getsignal gives None for one that was not set from Python."""
    monkeypatch.setattr(signal, "getsignal", lambda _: None)
    set_to = []
    monkeypatch.setattr(signal, "signal", lambda *pair: set_to.append(pair))
    assert main(["models"]) == 0
    assert not set_to


def test_a_reader_that_has_left_is_no_fault_of_a_stream_without_a_file(monkeypatch):
    class Left(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Left())
    assert main(["models"]) == 1

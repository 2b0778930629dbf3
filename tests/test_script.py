"""Scripts end with one line for a user's mistake and with a traceback for anything else."""

import pytest

from psigraph.script import run
from psigraph.stores import StoreError
from psigraph.training.device import DeviceError


def failing(error: Exception) -> None:
    raise error


def test_success_is_zero() -> None:
    assert run(lambda: "done") == 0


@pytest.mark.parametrize("error", [StoreError("a.h5: no such file"), DeviceError("no GPU"), OSError("disk full")])
def test_mistakes_are_one_line(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(lambda: failing(error)) == 1
    assert capsys.readouterr().err == f"error: {error}\n"


@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), KeyError("name")])
def test_anything_else_is_not_hidden(error: Exception) -> None:
    with pytest.raises(type(error)):
        run(lambda: failing(error))

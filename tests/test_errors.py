import inspect

import pytest

from core import errors
from core.errors import ConfigError, CoreError, RunFailedError, ShapeError, UnknownNameError

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, CoreError)]


def test_cause_and_remedy_make_one_sentence_each():
    error = ConfigError("Depth is 0.", "Choose at least 1.")
    assert str(error) == "Depth is 0. Choose at least 1."
    assert (error.cause, error.remedy) == ("Depth is 0.", "Choose at least 1.")
    assert str(ShapeError("Too flat.")) == "Too flat."


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_is_one_the_ui_can_show(kind):
    assert issubclass(kind, CoreError)
    assert kind.__doc__
    assert kind.__name__.endswith("Error")


def test_errors_are_also_what_python_calls_them():
    assert issubclass(ConfigError, ValueError)
    assert issubclass(ShapeError, ValueError)
    assert issubclass(UnknownNameError, LookupError)


def test_an_unknown_name_suggests_the_nearest_or_lists_all():
    error = UnknownNameError("model", "vit_smal", ["vit_small", "resnet"])
    assert error.cause == "There is no model named 'vit_smal'."
    assert error.remedy == "Did you mean 'vit_small'?"
    assert UnknownNameError("model", "zzz", ["b", "a"]).remedy == "Known: a, b."
    assert UnknownNameError("model", "zzz", []).remedy == "Known: none."


def test_a_failed_run_keeps_its_traceback():
    error = RunFailedError("It failed.", "Try again.", traceback="Traceback …")
    assert error.traceback == "Traceback …"
    assert str(error) == "It failed. Try again."

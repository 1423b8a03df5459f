"""What flows share: names that no other flow uses, and the expectation of an error."""

import contextlib
import time
import uuid

import mlflow
from mlflow.exceptions import MlflowException


def unique(word: str) -> str:
    return f"{word}-{uuid.uuid4().hex[:8]}"


def experiment(word: str = "exp") -> str:
    """Makes an experiment the active one and returns its id."""
    return mlflow.set_experiment(unique(word)).experiment_id


@contextlib.contextmanager
def refuses(code: str, *words: str):
    """Expects an error with this code whose message has the words, without a wait for retries."""
    begun = time.time()
    try:
        yield
    except MlflowException as e:
        assert e.error_code == code, f"{e.error_code}: {e}"
        for word in words:
            assert word in str(e), f"{word!r} is not in {e}"
        assert time.time() - begun < 5, "the refusal took long"
        return
    raise AssertionError(f"{code} was expected, nothing was raised")

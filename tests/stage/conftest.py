"""A stage that the tests of a module share."""

from collections.abc import Iterator

import pytest

from stage.running_stage import Stage, running


@pytest.fixture(scope="module")
def shared() -> Iterator[Stage]:
    """One stage for tests that leave nothing behind but messages."""
    with running() as found:
        yield found


@pytest.fixture
def stage(shared: Stage) -> Stage:
    shared.sink.bodies.clear()
    shared.sink.metadata.clear()
    shared.sink.answer, shared.sink.refuse = b"", None
    return shared

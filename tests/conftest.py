# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures of the tests that need a running server."""

import pytest

import stack as stack_module


def pytest_configure(config):
    config.addinivalue_line("markers", "full: takes long; ./dev check full runs it, ./dev check does not")


@pytest.fixture(scope="session")
def stack():
    """One server for all tests that do not harm it, with its default configuration."""
    with stack_module.Stack() as running:
        yield running


@pytest.fixture
def start_stack():
    """A function that starts a server of this test's own: start_stack(faults=True, compute_slots=1)."""
    running = []

    def start(**options):
        new = stack_module.Stack(**options)
        new.__enter__()
        running.append(new)
        return new

    yield start
    for each in reversed(running):
        each.__exit__(None, None, None)


@pytest.fixture(scope="session")
def shared_data():
    """Test data written by others, which may be missing."""
    if not stack_module.SHARED_DATA.is_dir():
        pytest.skip(f"no test data in {stack_module.SHARED_DATA} (GANGSAW_SHARED_DATA)")
    return stack_module.SHARED_DATA

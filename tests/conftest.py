# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures of the tests that need a running server."""

import collections
import faulthandler
import os

import pytest

import stack as stack_module


# A test that takes so long hangs: its process ends, and says where each thread is.
PATIENCE_SECONDS = 900
standard_error = None


def pytest_configure(config):
    global standard_error
    standard_error = os.dup(2)  # before output is captured
    config.addinivalue_line("markers", "full: takes long; ./dev check full runs it, ./dev check does not")
    config.addinivalue_line("markers", "heavy: computes a lot; its file is among the first")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol():
    faulthandler.dump_traceback_later(PATIENCE_SECONDS, exit=True, file=standard_error)
    yield
    faulthandler.cancel_dump_traceback_later()


def weight(item):
    """How long a test takes, roughly: most of it is what it starts for itself, or waits for."""
    marks = {mark.name for mark in item.iter_markers()}
    return 1 + 40 * ("start_stack" in item.fixturenames) + 20 * ("heavy" in marks) + 200 * ("full" in marks)


def pytest_collection_modifyitems(items):
    """Files with the most to do come first, so that no core waits at the end for what another has left."""
    weights = collections.Counter()
    for item in items:
        weights[item.path] += weight(item)
    items.sort(key=lambda item: -weights[item.path])


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

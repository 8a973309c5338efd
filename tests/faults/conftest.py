# SPDX-License-Identifier: BSD-2-Clause
"""What the fault tests share: a server with the misbehaving module, and what its pool is made of."""

import pytest
import stack as stack_module
from pool import LONG_LIMITS


@pytest.fixture(scope="module")
def faults():
    """Two slots, for tests that leave the pool whole."""
    with stack_module.Stack(
        faults=True,
        config=LONG_LIMITS,
        compute_slots=2,
        compute_net_slots=1,
        compute_queue_length=8,
        compute_queue_seconds=60,
        database_url="",
    ) as running:
        yield running


@pytest.fixture
def start_jobs(start_stack):
    """A function that starts a server of this test's own, with database, runner and hub."""

    def start(config="", **options):
        options.setdefault("compute_queue_seconds", 60)
        options.setdefault("compute_net_slots", 1)
        options.setdefault("jobs_net_slots", 1)
        return start_stack(faults=True, config=LONG_LIMITS + config, **options)

    return start


@pytest.fixture
def start_faults(start_jobs):
    """The same with the pools alone, which start sooner: start_faults(compute_slots=1)."""
    return lambda config="", **options: start_jobs(config, database_url="", **options)

# SPDX-License-Identifier: BSD-2-Clause
"""A pool as the fault tests look at it: who runs, who was replaced."""

from stack import alive, wait_until

RUN = "/v1/tasks/faults."
# A run as long as its limit allows, that listens, and leaves the cores to others.
PATIENT = {"busy": False}
# Runs that nobody stops outlast every test: it is not their own limit that ends them.
LONG_LIMITS = "[task faults.hang]\nseconds = 600\n[task faults.cooperative]\nseconds = 600\n"


def members(stack, kind, **wanted):
    """Status of the workers or the cpu executors, those with these members."""
    found = [each for each in stack.pool()[kind] if each.get("class", "cpu") == "cpu"]
    return [each for each in found if all(each.get(name) == value for name, value in wanted.items())]


def pids(stack, kind="executors", **wanted):
    return {each["pid"] for each in members(stack, kind, **wanted) if each["pid"] > 0}


def find(stack, kind, **wanted):
    """The one worker or executor whose status has these members; waits for it."""

    def found():
        each = members(stack, kind, **wanted)
        return each[0] if len(each) == 1 else None

    return wait_until(found, 20, f"one of {kind} with {wanted}; there are {members(stack, kind)}")


def wait_until_whole(stack, executors, workers):
    """So many processes are there, ready and idle, and no others."""

    def whole():
        return all(
            len(pids(stack, kind, state="idle")) == count == len(members(stack, kind))
            for kind, count in (("executors", executors), ("workers", workers))
        )

    wait_until(whole, 20, f"{executors} executors and {workers} workers idle")


def wait_until_gone(processes, seconds=20):
    wait_until(lambda: not any(alive(pid) for pid in processes), seconds, f"the end of {sorted(processes)}")

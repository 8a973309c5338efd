# SPDX-License-Identifier: BSD-2-Clause
"""What a host knows of keys outlives its hub and its database, and says how old it is."""

import os
import struct

import pytest
from stack import wait_until

import stack as stack_module

COMPARED_AT = 8  # bytes into the file `keys`: when it was last compared with the database


@pytest.fixture(scope="module")
def server():
    with stack_module.Stack(compute_slots=1, compute_net_slots=1, jobs_slots=1) as running:
        yield running


def keys_file(server):
    return server.var / "run" / "keys"


def ids(server):
    """Of the keys that were ever made, those that the file has."""
    data = keys_file(server).read_bytes()
    return {id for (id,) in server.sql("SELECT id FROM gangsaw.key") if id.encode() in data}


def create(server):
    return server.command("key", "create", "--tenant", "shop").stdout.strip().split("_")[1]


def compared(server):
    return struct.unpack_from("<q", keys_file(server).read_bytes(), COMPARED_AT)[0]


def hub_keys(server):
    hub = server.status()["hub"]
    return hub and hub["keys"]


def wait_for_compare(server):
    before = compared(server)
    wait_until(lambda: compared(server) > before, what="the keys compared with the database")


def test_a_killed_hub_leaves_the_keys_and_the_next_one_goes_on(server):
    id = create(server)
    server.kill("hub")
    before = ids(server)
    assert id in before
    server.command("key", "revoke", id)  # says that no hub runs
    assert ids(server) == before
    other = create(server)
    server.start()
    wait_until(lambda: ids(server) == before - {id} | {other}, 5, "the changes that were made without a hub")
    wait_for_compare(server)
    assert hub_keys(server)["count"] == len(before)


def test_keys_stay_and_age_while_the_database_is_away(server):
    id = create(server)
    server.kill_database()
    before = compared(server)
    wait_until(lambda: hub_keys(server)["age_s"] > 3, 20, "an age beyond that of a database that answers")
    assert compared(server) == before
    assert id.encode() in keys_file(server).read_bytes()
    server.start()
    wait_for_compare(server)
    assert id in ids(server)


@pytest.mark.parametrize("harm", ["removed", "cut short", "overwritten"])
def test_a_harmed_file_is_written_again(server, harm):
    id = create(server)
    file = keys_file(server)
    if harm == "removed":
        file.unlink()
    elif harm == "cut short":
        os.truncate(file, 50)
    else:
        file.write_bytes(b"x" * file.stat().st_size)
    wait_until(lambda: file.exists() and id.encode() in file.read_bytes(), 10, "the file written again")
    assert hub_keys(server)["count"] == len(ids(server))

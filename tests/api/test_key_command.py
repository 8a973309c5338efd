# SPDX-License-Identifier: BSD-2-Clause
"""`gangsaw key` makes, lists and revokes keys, and the host knows each at once."""

import json
import re
import struct
import subprocess

import pytest
from stack import wait_until

import stack as stack_module

KEY = re.compile(r"gs_([a-z0-9]{12})_[A-Za-z0-9_-]{43}")
HEADER = 120  # bytes of the file `keys` before the first key


@pytest.fixture(scope="module")
def server():
    with stack_module.Stack(compute_slots=1, compute_net_slots=1, jobs_slots=1) as running:
        yield running


def key_command(server, *words, **options):
    """(exit status, stdout, stderr) of `gangsaw key WORD …`."""
    env = {**server.env, "GANGSAW_SERVER_RUN_DIR": str(server.var / "run"),
           "GANGSAW_CONFIG": str(server.var / "gangsaw.conf"), "GANGSAW_DATABASE_URL": server.database_url}
    env.update(options)
    done = subprocess.run([stack_module.BUILD / "gangsaw", "key", *words], env=env, timeout=60, text=True,
                          capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr


def create(server, *words):
    """The id and the whole key."""
    status, output, errors = key_command(server, "create", *words)
    assert status == 0, errors
    match = KEY.fullmatch(output.removesuffix("\n"))
    assert match, output
    assert output.strip() not in errors
    return match[1], match[0]


def listed(server):
    return {key["id"]: key for key in json.loads(key_command(server, "list", "--json")[1])["keys"]}


def known_ids(server):
    """What every worker of the host can see."""
    data = (server.var / "run" / "keys").read_bytes()
    assert data.startswith(b"gs-keys\0")
    records = data[HEADER:]
    size = struct.unpack_from("<I", data, 60)[0]
    assert len(records) % size == 0
    return [records[at : at + 12].decode() for at in range(0, len(records), size)]


def test_a_key_is_known_to_the_host_when_the_command_returns(server):
    ids = [create(server, "--tenant", "shop")[0] for _ in range(3)]
    assert set(ids) <= set(known_ids(server))
    assert known_ids(server) == sorted(known_ids(server))
    for id in ids:
        status, output, errors = key_command(server, "revoke", id)
        assert (status, output) == (0, ""), errors
        assert id not in known_ids(server)
    assert server.status()["hub"]["keys"]["count"] == len(known_ids(server))


def test_what_a_key_may_is_what_was_asked_for(server):
    id, _ = create(server, "--tenant", "Shop-3.b_c", "--scopes", "admin,run", "--requests-per-minute", "600",
                   "--concurrent-runs", "4", "--queued-jobs", "1000", "--body-bytes", "10M", "--expires", "30",
                   "--label", "the café's till")
    key = listed(server)[id]
    created, expires = key.pop("created_at"), key.pop("expires_at")
    assert created < expires
    assert key == {"id": id, "state": "valid", "tenant": "Shop-3.b_c", "scopes": ["run", "admin"],
                   "requests_per_minute": 600, "concurrent_runs": 4, "queued_jobs": 1000,
                   "body_bytes": 10485760, "label": "the café's till", "revoked_at": None}


def test_without_options_a_key_runs_and_has_jobs_without_limit(server):
    status, output, _ = key_command(server, "create", "--tenant", "shop", "--json")
    key = json.loads(output)
    assert status == 0 and KEY.fullmatch(key["key"])[1] == key["id"]
    assert key["scopes"] == ["run", "jobs:read", "jobs:write"]
    limits = ("requests_per_minute", "concurrent_runs", "queued_jobs", "body_bytes")
    assert [key[name] for name in limits] == [None] * 4
    assert key["expires_at"] is None


def test_a_list_shows_no_secret(server):
    id, text = create(server, "--tenant", "shop", "--label", "till")
    for words in ((), ("--json",)):
        status, output, errors = key_command(server, "list", *words)
        assert status == 0 and id in output and "till" in output
        assert text not in output + errors and text[16:] not in output
    assert text not in json.dumps(server.sql("SELECT * FROM gangsaw.key"))
    assert key_command(server, "revoke", id)[0] == 0
    assert listed(server)[id]["state"] == "revoked"
    assert re.search(rf"^{id} revoked shop ", key_command(server, "list")[1], re.MULTILINE)


def test_an_unknown_id_is_an_error(server):
    status, output, errors = key_command(server, "revoke", "abcdefghij09")
    assert (status, output, errors) == (1, "", "gangsaw key: There is no key abcdefghij09.\n")


def test_a_whole_key_in_place_of_an_id_is_not_shown(server):
    id, text = create(server, "--tenant", "shop")
    status, output, errors = key_command(server, "revoke", text)
    assert (status, output) == (64, "")
    assert text[16:] not in errors and "12 characters" in errors
    assert listed(server)[id]["state"] == "valid"


WRONG = [
    ((), "usage:"),
    (("make",), "usage:"),
    (("create",), "--tenant NAME"),
    (("create", "--tenant"), "1 to 64 characters"),
    (("create", "--tenant", ""), "1 to 64 characters"),
    (("create", "--tenant", "a" * 65), "1 to 64 characters"),
    (("create", "--tenant", "a/b"), "A-Z, a-z, 0-9"),
    (("create", "--tenant", "a", "--scopes", ""), "run, jobs:read, jobs:write and admin"),
    (("create", "--tenant", "a", "--scopes", "run,"), "run, jobs:read, jobs:write and admin"),
    (("create", "--tenant", "a", "--scopes", "run,all"), "run, jobs:read, jobs:write and admin"),
    (("create", "--tenant", "a", "--scopes", "x" * 100), "run, jobs:read, jobs:write and admin"),
    (("create", "--tenant", "a", "--requests-per-minute", "0"), "1 to 1000000"),
    (("create", "--tenant", "a", "--requests-per-minute", "1000001"), "1 to 1000000"),
    (("create", "--tenant", "a", "--requests-per-minute", "1.5"), "1 to 1000000"),
    (("create", "--tenant", "a", "--requests-per-minute", "1K"), "1 to 1000000"),
    (("create", "--tenant", "a", "--concurrent-runs", "-1"), "1 to 10000"),
    (("create", "--tenant", "a", "--queued-jobs", ""), "1 to 1000000000"),
    (("create", "--tenant", "a", "--body-bytes", "65G"), "1 to 64G"),
    (("create", "--tenant", "a", "--expires", "never"), "1 to 36500 days"),
    (("create", "--tenant", "a", "--label", "a\nb"), "control characters"),
    (("create", "--tenant", "a", "--label", "x" * 101), "up to 100 bytes"),
    (("create", "--tenant", "a", "--lable", "b"), "no option --lable"),
    (("list", "--all"), "usage:"),
    (("revoke",), "usage:"),
    (("revoke", "SHORT"), "12 characters"),
]


@pytest.mark.parametrize("words, said", WRONG, ids=[" ".join(words)[:60] for words, _ in WRONG])
def test_wrong_words_are_told_what_is_allowed(server, words, said):
    before = listed(server)
    status, output, errors = key_command(server, *words)
    assert (status, output) == (64, "")
    assert said in errors
    assert listed(server) == before


def test_without_a_database_there_is_one_clear_line(server):
    status, output, errors = key_command(server, "list", GANGSAW_DATABASE_URL="")
    assert (status, output) == (78, "")
    assert errors == "gangsaw key: database.url is empty: keys are kept in a database\n"
    away = f"postgresql://gangsaw@/gangsaw?host={server.var}/none"
    for words in (("list",), ("create", "--tenant", "a"), ("revoke", "abcdefghij09")):
        status, output, errors = key_command(server, *words, GANGSAW_DATABASE_URL=away)
        assert (status, output) == (1, "")
        assert errors.startswith("gangsaw key: the database is away") and errors.count("\n") == 1


def test_a_host_without_a_hub_is_told_so(server):
    status, output, errors = key_command(server, "create", "--tenant", "a",
                                         GANGSAW_SERVER_RUN_DIR=str(server.var / "none"))
    assert status == 0 and KEY.fullmatch(output.strip())
    assert "no hub" in errors


def test_a_lost_notification_costs_no_more_than_the_next_look(server):
    """Nothing is notified here: the hub finds the change by itself."""
    id, _ = create(server, "--tenant", "shop")
    server.sql("ALTER TABLE gangsaw.key DISABLE TRIGGER key_changed; "
               f"UPDATE gangsaw.key SET revoked_at = now() WHERE id = '{id}'; "
               "UPDATE gangsaw.key_change SET number = number + 1; "
               "ALTER TABLE gangsaw.key ENABLE TRIGGER key_changed")
    wait_until(lambda: id not in known_ids(server), 5, "revoked without a notification")

# SPDX-License-Identifier: BSD-2-Clause
"""What ./dev promises about the stack that it starts and stops."""

import os
import pathlib
import signal
import socket
import subprocess

import stack as stack_module

DAEMONS = ("nginx", "api", "compute")


def pids(own):
    return {name: own.pid(name) for name in DAEMONS}


def session_members(leaders):
    """Living processes of the sessions that these processes lead, or led."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        fields = stack_module.process_state(entry.name) if entry.name.isdigit() else None
        if fields and int(fields[3]) in leaders:
            found.append(int(entry.name))
    return found


def test_a_second_start_leaves_alone_what_runs(start_stack):
    own = start_stack()
    before = pids(own)
    own.start()
    assert pids(own) == before


def test_a_changed_option_restarts_the_pools_alone(start_stack):
    own = start_stack(compute_slots=1)
    before = pids(own)
    own.env["GANGSAW_COMPUTE_SLOTS"] = "2"
    assert "restarting compute" in own.start().stdout
    after = pids(own)
    assert after["nginx"] == before["nginx"]
    assert after["api"] != before["api"] and after["compute"] != before["compute"]
    assert own.get("/livez").status_code == 200


def test_it_starts_after_an_unclean_stop(start_stack):
    own = start_stack()
    for name in DAEMONS:
        own.signal(name, signal.SIGKILL)
    own.start()
    assert own.get("/livez").status_code == 200
    assert own.post("/v1/tasks/demo.sum_squares", json={"n": 3}).json()["result"]["sum"] == "5"


def test_a_stop_leaves_no_process(start_stack):
    own = start_stack()
    leaders = set(pids(own).values())
    assert len(session_members(leaders)) > 6
    own.stop()
    assert session_members(leaders) == []
    own.stop()  # once more does no harm


def test_a_later_process_with_the_same_pid_is_not_signalled(start_stack):
    own = start_stack()
    own.stop()
    with subprocess.Popen(["sleep", "300"]) as foreign:
        try:
            for name in DAEMONS:
                (own.var / "pid" / name).write_text(f"{foreign.pid} other-boot/1 stamp\n")
            assert own.dev("status", check=False).returncode == 1
            own.stop()
            assert foreign.poll() is None
        finally:
            foreign.kill()


def test_a_port_in_use_gives_one_clear_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        own = stack_module.Stack()
        own.port = taken.getsockname()[1]
        own.env["GANGSAW_PORT"] = str(own.port)
        try:
            done = own.dev("start", check=False)
        finally:
            own.__exit__(None, None, None)
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if "building" not in line]
    assert lines == [f"dev: port {own.port} is in use by another program; set GANGSAW_PORT to a free one"]


def test_daemons_keep_none_of_the_callers_descriptors(start_stack):
    own = start_stack()
    own.stop()
    reader, writer = os.pipe()
    try:
        subprocess.run([stack_module.ROOT / "dev", "start"], env=own.env, pass_fds=[writer], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=300)  # fmt: skip
        os.close(writer)
        os.set_blocking(reader, False)
        assert os.read(reader, 1) == b""  # the end: nobody else holds it
    finally:
        os.close(reader)


def test_status_names_what_runs(start_stack):
    own = start_stack()
    said = own.dev("status").stdout
    for name in DAEMONS:
        assert str(own.pid(name)) in said
    assert own.url in said

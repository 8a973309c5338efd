# SPDX-License-Identifier: BSD-2-Clause
"""What ./dev promises about the stack that it starts and stops."""

import os
import pathlib
import signal
import socket
import subprocess

import pictures
import pytest
import stack as stack_module
from stack import DAEMONS, children, wait_until


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


def test_a_changed_option_restarts_what_reads_it_alone(start_stack):
    own = start_stack(compute_slots=1)
    before = pids(own)
    own.env["GANGSAW_COMPUTE_SLOTS"] = "2"
    assert "restarting compute" in own.start().stdout
    after = pids(own)
    assert {name for name in DAEMONS if after[name] == before[name]} == {"nginx", "postgres"}
    assert own.get("/livez").status_code == 200


def test_it_starts_after_an_unclean_stop(start_stack):
    own = start_stack()
    for name in DAEMONS:
        own.signal(name, signal.SIGKILL)
    own.start()
    assert own.get("/livez").status_code == 200
    assert own.post("/v1/tasks/demo.sum_squares", json={"n": 3}).json()["result"]["sum"] == "5"


def test_a_killed_database_starts_although_its_processes_are_still_there(start_stack):
    """A backend that computes does not notice that its server is gone, and holds its memory."""
    own = start_stack()
    own.sql("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
    query = subprocess.Popen(
        [stack_module.find_psql(), "-X", "-c", "SELECT count(*) FROM generate_series(1, 10000000000)", own.database_url],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: own.sql("SELECT 1 FROM pg_stat_activity WHERE query LIKE '%generate_series(1, 1%' "
                                   "AND state = 'active' AND pid != pg_backend_pid()"))  # fmt: skip
        backends = children(own.pid("postgres"))
        own.signal("postgres", signal.SIGKILL)
        own.start()
        assert not any(stack_module.alive(pid) for pid in backends)
    finally:
        query.kill()
        query.wait()
    assert own.sql("SELECT n FROM kept") == [["7"]]


def test_another_process_with_the_databases_old_pid_does_no_harm(start_stack):
    own = start_stack()
    lock = own.var / "postgres" / "postmaster.pid"
    text = lock.read_text()
    owner = lock.stat()
    own.stop()
    with subprocess.Popen(["sleep", "300"], user=owner.st_uid, group=owner.st_gid) as foreign:
        try:
            for path in (lock, own.var / "run" / ".s.PGSQL.5432.lock"):
                path.write_text(text.replace(text.split()[0], str(foreign.pid), 1))
                os.chown(path, owner.st_uid, owner.st_gid)
            own.start()
            assert foreign.poll() is None
        finally:
            foreign.kill()


def test_the_database_is_stopped_cleanly_whoever_is_connected(start_stack):
    own = start_stack()
    client = subprocess.Popen(
        [stack_module.find_psql(), "-X", "-c", "SELECT pg_sleep(300)", own.database_url], stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: own.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))
        own.stop()
    finally:
        client.kill()
        client.wait()
    assert "database system is shut down" in own.log("postgres")[-1]


def test_the_database_outlives_a_crash_of_the_machine_unless_it_need_not(start_stack):
    """Tests need not; what holds without the variable is for everybody else."""
    own = start_stack()
    assert own.sql("SHOW fsync") == [["off"]]
    del own.env["GANGSAW_FSYNC"]
    assert "restarting postgres" in own.start().stdout
    assert own.sql("SHOW fsync; SHOW synchronous_commit") == [["on"], ["on"]]


def test_a_database_of_another_version_is_named(start_stack):
    own = start_stack()
    own.stop()
    version = own.var / "postgres" / "PG_VERSION"
    right = version.read_text()
    version.write_text("9\n")
    done = own.dev("start", check=False)
    version.write_text(right)
    assert done.returncode == 1
    assert f"{own.var}/postgres was written by PostgreSQL 9, which is not installed" in done.stdout


def test_a_database_of_the_callers_is_used_instead_of_an_own_one(start_stack):
    first = start_stack()
    second = start_stack(database_url=first.database_url)
    assert not (second.var / "postgres").exists()
    assert "postgres" not in second.dev("status").stdout
    second.stop()
    assert first.sql("SELECT 1") == [["1"]]


def test_without_a_database_there_are_the_pools_alone(start_stack):
    own = start_stack(database_url="")
    assert sorted(path.name for path in (own.var / "pid").iterdir()) == ["api", "compute", "daemons", "lock", "nginx"]
    assert own.dev("status").returncode == 0


@pytest.mark.parametrize("text", ["[database]\nurl = nonsense\n", "[database]\nurl = host=/nowhere dbname=x\n"])
def test_a_database_that_cannot_be_reached_ends_the_start(text):
    own = stack_module.Stack(config=text)
    try:
        done = own.dev("start", check=False)
        assert done.returncode == 1
        assert done.stdout.rstrip().endswith("the schema of the database could not be brought up to date")
        assert not list((own.var / "pid").glob("api"))
    finally:
        own.__exit__(None, None, None)


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


def test_the_demo_shows_a_task_of_each_module_without_any_data(start_stack, tmp_path):
    own = start_stack()
    own.env["GANGSAW_SHARED_DATA"] = str(tmp_path)
    picture = tmp_path / "picture.png"
    picture.write_bytes(pictures.png(120, 100, pictures.gradient))
    shown = own.dev("demo", picture).stdout
    built = {path.stem for path in stack_module.BUILD.glob("modules/.libs/*.so")}
    if "image" in built:
        assert '"width":120' in shown and "computed as a job: the same bytes" in shown
    if "pdf" in built:
        text, drawn = shown.partition("v1/tasks/pdf.text")[2], own.var / "demo" / "page.png"
        assert "through one log at a time." in text.partition("$ curl")[0]
        assert pictures.look(drawn.read_bytes()) == ("png", 1167, 556)
        subprocess.run(["qpdf", "--check", own.var / "demo" / "document.pdf"], check=True, timeout=60)
    if {"pdf", "ocr"} <= built:
        seen = shown.partition("v1/tasks/ocr.recognize")[2].partition("$ curl")[0]
        assert "blades" in seen and "one log" in seen
    assert '{"sum":"333332833333500000"}' in shown

# SPDX-License-Identifier: BSD-2-Clause
"""The sandbox: what code that has taken over its executor can do, which is nothing but compute."""

import json
import mmap
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "api"))
import pictures as made  # noqa: E402
import test_catalogue  # noqa: E402
from pool import RUN, members, pids  # noqa: E402
from stack import BUILD, SANITIZED, Stack, problem_of, process_state, skip_without_module, wait_until  # noqa: E402

SECRET = "the-secret-of-run-1"


@pytest.fixture(scope="module")
def stack():
    with Stack(faults=True, compute_slots=2, compute_net_slots=1, jobs_slots=1) as started:
        yield started


def attempt(stack, name, task="hostile", **params):
    """What came of it: the name of the error, "" when it succeeded."""
    answer = stack.post(RUN + task, json={"attempt": name, **params})
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]["error"]


def executors(stack):
    return set(pids(stack))


@pytest.fixture
def unharmed(stack):
    """The next run is served, and by an executor that was there before."""
    before = executors(stack)
    yield
    answer = stack.post("/v1/tasks/demo.sum_squares", json={"n": 4})
    assert answer.json()["result"] == {"sum": "14"}
    assert executors(stack) == before


# ---- files


def secrets(stack):
    return {
        "users": "/etc/passwd",
        "shadow": "/etc/shadow",
        "configuration": stack.var / "gangsaw.conf",
        "log": stack.var / "log" / "compute.log",
        "its memory": "/proc/self/mem",
        "its maps": "/proc/self/maps",
        "parent's environment": f"/proc/{stack.pid('compute')}/environ",
        "kernel": "/proc/kallsyms",
        "devices": "/dev/mem",
        "the machine": "/etc/machine-id",
        "database": stack.var / "db" / "PG_VERSION",
    }


def test_no_file_but_libraries_can_be_read(stack, unharmed):
    for what, path in secrets(stack).items():
        assert attempt(stack, "read", path=str(path)) in ("EACCES", "ENOENT"), what
    for folder in ("/", "/etc", "/proc", "/tmp", "/home", str(stack.var), str(stack.var / "run")):
        assert attempt(stack, "list", path=folder) == "EACCES", folder
    assert attempt(stack, "read", path="/etc/ld.so.cache") == ""  # the attempt itself is sound
    assert attempt(stack, "list", path="/usr/lib") == ""


def test_memfds_of_other_runs_cannot_be_opened(stack, unharmed):
    for pid in [*executors(stack), stack.pid("compute")]:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            params = {"attempt": "read", "path": f"/proc/{pid}/fd/{fd}"}
            answer = stack.post(RUN + "hostile", json=params).json()["result"]
            assert answer["error"] == "EACCES" or answer["pid"] == pid  # its own it has open anyway


def test_nothing_can_be_written_anywhere(stack, unharmed):
    modules = stack.var / "test-modules"
    writable = stack.var / "writable"
    writable.mkdir(exist_ok=True)
    writable.chmod(0o777)
    for folder in ("/tmp", "/var/tmp", "/dev/shm", "/", stack.var / "run", modules, writable):
        path = pathlib.Path(folder) / "hostile"
        assert attempt(stack, "write", path=str(path)) == "EACCES", path
        assert not path.exists()
    assert attempt(stack, "append", path=str(stack.var / "log" / "compute.log")) == "EACCES"
    assert attempt(stack, "append", path=str(next(modules.iterdir()))) == "EACCES"
    for call in ("mkdir", "mknod", "symlink", "unlink", "rename", "chmod", "truncate"):
        assert attempt(stack, call, path=str(writable / "hostile")) == "ENOSYS", call
    assert list(writable.iterdir()) == []
    emptied = modules / "hostile"  # readable, and its user may write there
    emptied.write_text(SECRET)
    emptied.chmod(0o666)
    for call in ("open_trunc", "openat_trunc"):
        assert attempt(stack, call, path=str(emptied)) == "ENOSYS", call
    assert emptied.read_text() == SECRET
    emptied.unlink()
    assert attempt(stack, "write", path="/dev/null") == ""


# ---- memory


def test_memory_in_memfds_counts(stack):
    """It is never mapped: no figure of the process shows it."""
    problem = problem_of(stack.post(RUN + "hostile", json={"attempt": "memfds", "number": 900}), "executor-crashed", 500)
    assert "memory_mb = 512" in problem["detail"]
    assert attempt(stack, "memfds", number=300) == ""  # within the limit they are fine
    job = stack.submit("faults.hostile", {"attempt": "memfds", "number": 900})
    ended = stack.wait_for_job(job["id"])
    assert ended["state"] == "failed" and "memory_mb = 512" in ended["error"]["detail"]
    job = stack.submit("faults.hostile", {"attempt": "memfds", "number": 300})
    assert stack.wait_for_job(job["id"])["state"] == "succeeded"


def test_memory_is_private_or_in_a_descriptor(stack, unharmed):
    for flags in (mmap.MAP_SHARED, 3, mmap.MAP_PRIVATE | 0x40000, mmap.MAP_SHARED | 0x40000):  # VALIDATE, HUGETLB
        assert attempt(stack, "map", number=flags) == "ENOSYS", flags
    assert attempt(stack, "map", number=mmap.MAP_PRIVATE) == ""


# ---- network


@pytest.mark.parametrize("family", ("inet", "inet_raw", "icmp", "netlink", "packet", "vsock", "unix", "socketpair"))
def test_class_cpu_has_no_sockets(stack, unharmed, family):
    assert attempt(stack, family) == "ENOSYS"


@pytest.mark.parametrize("family", ("inet_raw", "icmp", "netlink", "packet", "vsock", "unix", "socketpair"))
def test_class_net_has_internet_sockets_only(stack, unharmed, family):
    assert attempt(stack, family, task="hostile_net") == "ENOSYS"


def test_the_sockets_of_database_and_server_are_out_of_reach(stack, unharmed):
    found = [*(stack.var / "run").iterdir(), *stack.var.rglob(".s.PGSQL.*")]
    assert len(found) >= 4
    for path in found:
        for task in ("hostile", "hostile_net"):
            assert attempt(stack, "connect_unix", task=task, path=str(path)) == "ENOSYS"
    assert attempt(stack, "connect", number=stack.port) == "ENOSYS"


def test_class_net_connects_and_resolves_but_does_not_listen(stack, unharmed):
    assert attempt(stack, "connect", task="hostile_net", number=stack.port) == ""
    assert attempt(stack, "resolve", task="hostile_net", path="localhost") == ""
    assert attempt(stack, "listen", task="hostile_net") == "ENOSYS"
    assert attempt(stack, "read", task="hostile_net", path="/etc/passwd") == "EACCES"


def test_no_run_but_its_own_can_be_taken(stack, unharmed):
    """Those that wait while it tries, and those that the executor beside it computes."""
    both = [stack.later(RUN + "hostile", json={"attempt": "accept", "number": 4}) for _ in range(2)]
    stack.wait_for_load(busy=2)
    waiting = [stack.later("/v1/tasks/demo.sum_squares", json={"n": 4}) for _ in range(8)]
    stack.wait_for_load(busy=2, waiting=8)
    assert [each.result().json()["result"]["error"] for each in both] == ["EAGAIN", "EAGAIN"]
    assert [each.result().json()["result"] for each in waiting] == [{"sum": "14"}] * 8

    one = stack.later(RUN + "hostile", json={"attempt": "accept", "number": 2})
    stack.wait_for_load(busy=1)
    for _ in range(50):
        assert stack.post("/v1/tasks/demo.sum_squares", json={"n": 4}).json()["result"] == {"sum": "14"}
    assert one.result().json()["result"]["error"] == "EAGAIN"


SHARED = ("shared_shutdown", "shared_nonblock", "shared_timeout", "shared_dup", "shared_disguised")


@pytest.mark.parametrize("task", ("hostile", "hostile_net"))
@pytest.mark.parametrize("name", SHARED)
def test_the_socket_that_its_successors_share_cannot_be_spoilt(stack, unharmed, name, task):
    assert attempt(stack, name, task=task) == "ENOSYS"


# ---- processes


@pytest.mark.parametrize("name", ("fork", "vfork", "clone", "clone3", "exec"))
def test_no_process_can_be_started(stack, unharmed, name):
    assert attempt(stack, name, path="/bin/true") == "ENOSYS"


OTHERS = ("kill", "tgkill", "tkill", "pidfd_open", "ptrace", "process_vm_readv", "kcmp", "setpriority", "prlimit", "setown",
          "ptracer", "sched_setscheduler")  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_neither_parent_nor_sibling_can_be_touched(stack, unharmed, name):
    for pid in [stack.pid("compute"), *executors(stack)]:
        answer = stack.post(RUN + "hostile", json={"attempt": name, "number": pid}).json()["result"]
        if pid == answer["pid"] and name in ("kill", "tgkill", "tkill"):
            continue  # itself
        assert answer["error"] == "ENOSYS", pid
        assert process_state(pid)[0] in "SR"


CALLS = ("mount", "chroot", "pivot_root", "name_to_handle_at", "open_by_handle_at", "inotify_init1", "fanotify_init",
         "sched_setaffinity", "setuid", "setsid", "unshare", "setns", "personality", "keyctl", "add_key", "bpf",
         "perf_event_open", "userfaultfd", "io_uring_setup", "pidfd_getfd", "init_module", "seccomp", "shmget", "mq_open",
         "timer_create", "memfd_huge", "dumpable", "pdeathsig", "set_mm", "tiocsti", "mremap")  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_the_kernel_offers_what_computing_takes_and_no_more(stack, unharmed, name):
    assert attempt(stack, name) == "ENOSYS"


def test_a_hard_limit_cannot_be_raised(stack, unharmed):
    assert attempt(stack, "raise_limit") == "EPERM"


def test_some_threads_are_fine(stack):
    assert attempt(stack, "threads", number=8) == ""


def test_a_bomb_of_threads_costs_its_run_only(stack):
    if SANITIZED:
        pytest.skip("each thread of the sanitizer's takes megabytes")
    answer = stack.post(RUN + "hostile", json={"attempt": "threads", "number": 20000})
    problem_of(answer, "executor-crashed", 500)
    answer = stack.post("/v1/tasks/demo.sum_squares", json={"n": 4})
    assert answer.json()["result"] == {"sum": "14"}


@pytest.mark.parametrize("kind", ("compute", "runner"))
def test_executors_have_no_rights_whoever_started_the_stack(stack, kind):
    if kind == "compute":
        wait_until(lambda: all(each["state"] == "idle" for each in members(stack, "executors")), 20, "executors that have begun")
    status = json.loads(stack.command("status", "--json").stdout)
    source = status["runner"] if kind == "runner" else status["pools"]["compute"]
    assert source["sandbox"] == "on" and source["executors"]
    for executor in source["executors"]:
        lines = pathlib.Path(f"/proc/{executor['pid']}/status").read_text().splitlines()
        fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        assert fields["NoNewPrivs"] == "1" and fields["Seccomp"] == "2"
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb", *(["CapBnd"] if os.getuid() == 0 else [])):
            assert int(fields[name], 16) == 0, name
        assert "0" not in fields["Uid"].split()


# ---- between runs


def test_what_a_run_leaves_behind_cannot_be_asked_for_by_the_next():
    with Stack(faults=True, compute_slots=1) as stack:
        first = stack.post(
            RUN + "echo",
            files={"file": (SECRET, SECRET.encode() * 1000, "text/plain")},
            headers={"Accept": "application/json"},
        )
        assert first.status_code == 200 and SECRET in first.text
        pid = executors(stack)
        assert stack.post(RUN + "progress", json={"steps": 20, "pause_ms": 1}).status_code == 200
        for _ in range(3):
            answer = stack.post(RUN + "echo", json={}, headers={"Accept": "application/json"})
            assert answer.status_code == 200 and SECRET not in answer.text
            assert answer.json()["result"]["inputs"] == []
            assert answer.json()["outputs"] == [] if "outputs" in answer.json() else True
        run = stack.post(RUN + "cooperative", json={"seconds": 0.1})
        assert run.status_code == 200
        assert SECRET not in stack.command("status", "--json").stdout
        assert executors(stack) == pid


# ---- the list itself


def tasks(stack):
    return {task["name"]: task for task in stack.get("/v1/tasks").json()["tasks"]}


def pictures():
    """One of each media type, made by the server itself or here."""
    return {"image/png": made.png(40, 30, made.gradient)}


def test_every_task_runs_without_a_call_that_is_not_on_the_list():
    """`strict` kills for such a call, so that a list that lacks one cannot go unnoticed."""
    built = [name for name in ("image", "ocr", "pdf") if (BUILD / f"modules/.libs/{name}.so").exists()]
    with Stack(compute_slots=1, jobs_slots=1, executor_sandbox="strict", executor_idle_mb=8192,
               compute_preload=" ".join(["demo", *built])) as stack:  # fmt: skip
        catalogue = tasks(stack)
        assert "demo.sum_squares" in catalogue
        assert stack.post("/v1/tasks/demo.sum_squares", json={"n": 1000}).status_code == 200
        if "image.transform" in catalogue:
            transform_all(stack, catalogue["image.transform"])
            inspect_and_compare(stack, catalogue["image.inspect"])
        for task in catalogue.values():
            run_examples(stack, task)
        job = stack.submit("demo.sum_squares", {"n": 10})
        assert stack.wait_for_job(job["id"])["state"] == "succeeded"
        exits = stack.pool()["exits"]["executors"]
        assert exits == {"finished": 0, "failed": 0}
        assert "SIGSYS" not in (stack.var / "log" / "compute.log").read_text()


def send(stack, task, media_type, body, params):
    answer = stack.session.post(f"{stack.url}/v1/tasks/{task}", params=params, data=body,
                                headers={"Content-Type": media_type})  # fmt: skip
    assert answer.status_code == 200, answer.text
    return answer


def run_examples(stack, task):
    make = test_catalogue.Makers(stack)
    for example in task["examples"]:
        inputs = test_catalogue.INPUTS[task["name"]](make, example["params"])
        answer = test_catalogue.run_now(stack, task["name"], test_catalogue.body_of(example["params"], inputs, task.get("inputs", [])))
        assert answer.status_code == 200, answer.text[:1000]


def transform_all(stack, task):
    inputs = pictures()
    for media_type in task["outputs"][0]["media_types"]:
        params = {"format": media_type.partition("/")[2]}
        inputs[media_type] = send(stack, task["name"], "image/png", inputs["image/png"], params).content
    every = [{}, {"rotate": 90, "flip": "both"}, {"crop.left": 1, "crop.top": 1, "crop.width": 9, "crop.height": 9}]
    every += [{"width": 20, "height": 7, "fit": fit, "enlarge": "true"} for fit in ("inside", "cover", "contain", "fill")]
    every += [{"format": name, "strip": strip, "quality": 50} for name in ("jpeg", "png", "webp") for strip in ("true", "false")]
    for media_type, body in inputs.items():
        send(stack, "image.inspect", media_type, body, {})
        for params in every:
            answer = stack.session.post(f"{stack.url}/v1/tasks/{task['name']}", params=params, data=body,
                                        headers={"Content-Type": media_type})  # fmt: skip
            assert answer.status_code in (200, 422), answer.text


XMP = b"""<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>
<rdf:Description xmlns:xmp='http://ns.adobe.com/xap/1.0/' xmp:Rating='4'/></rdf:RDF>"""


def inspect_and_compare(stack, task):
    """Every figure, and XMP, whose library starts anew for each packet."""
    png = pictures()["image/png"]
    jpeg = send(stack, "image.transform", "image/png", png, {"format": "jpeg"}).content
    segment = b"http://ns.adobe.com/xap/1.0/\0" + XMP
    jpeg = jpeg[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + jpeg[2:]
    include = json.dumps(task["params"]["properties"]["include"]["items"]["enum"])
    for _ in range(2):
        answer = send(stack, "image.inspect", "image/jpeg", jpeg, {"include": include})
        assert answer.json()["result"]["xmp"] == {"xmp:Rating": "4"}
    parts = {"image": ("a", jpeg, "image/jpeg"), "reference": ("b", png, "image/png"), "difference": (None, "highlight")}
    answer = stack.session.post(f"{stack.url}/v1/tasks/image.compare", files=parts)
    assert answer.status_code == 200, answer.text


# ---- start


def test_off_is_said_at_the_start_and_in_the_status():
    with Stack(compute_slots=1, executor_sandbox="off") as stack:
        assert stack.pool()["sandbox"] == "off"
        for name in ("compute", "runner"):
            log = (stack.var / "log" / f"{name}.log").read_text()
            assert "executors are not confined: executor.sandbox is off" in log
        assert "sandbox off" in stack.command("status").stdout
        assert stack.post("/v1/tasks/demo.sum_squares", json={"n": 4}).status_code == 200


def test_slots_that_the_memory_would_not_do_for_are_left_out_and_said_so():
    skip_without_module("image.transform")  # it takes more than the others
    with Stack(compute_slots=4, jobs_slots=4, server_memory="2G") as stack:
        classes = stack.pool()["classes"]["cpu"]
        assert classes["wanted"] == 4 and classes["slots"] == 1
        log = (stack.var / "log" / "compute.log").read_text()
        assert "fewer slots than configured: the memory would not do for them" in log
        assert len(executors(stack)) == 1
        assert "4 slots configured, memory for 1" in stack.command("status").stdout

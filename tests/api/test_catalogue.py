# SPDX-License-Identifier: BSD-2-Clause
"""Every task of the project's, whatever it computes: its examples work as they are documented, now and as a job, and
what it says of its answers is so; and what is wrong with its inputs costs a problem, nothing else.

A new task needs a row in INPUTS."""

import base64
import functools
import hashlib
import json
import random
import re

import documents
import jsonschema
import pictures
import pytest
import stack as stack_module
from stack import problem_of

ROOT = stack_module.ROOT
TASKS = {json.loads(path.read_text())["name"]: json.loads(path.read_text()) for path in sorted(ROOT.glob("fcgi-app/tasks/*/*.json"))}
CUTS = 10
# Documents are read as far as they can be; a cut may leave all of their pages.
READ_IN_PART = {"application/pdf", "image/tiff"}
# Parameters with which a task looks at all of an input, where its examples need not.
READS_ALL = {"image.inspect": {"include": ["entropy"]}}


class Makers:
    """Inputs, made by hand or by the server's own tasks."""

    def __init__(self, stack):
        self._stack = stack

    @functools.cached_property
    def png(self):
        return pictures.png(120, 100, pictures.gradient)

    def picture(self, media_type="image/png"):
        if media_type == "image/png":
            return self.png, media_type
        headers = {"Content-Type": "image/png", "Accept": media_type}
        answer = self._stack.post("/v1/tasks/image.transform", data=self.png, headers=headers)
        assert answer.status_code == 200 and answer.headers["Content-Type"] == media_type, answer.text[:500]
        return answer.content, media_type

    def smaller(self):
        return pictures.png(60, 50, lambda x, y: pictures.gradient(2 * x, 2 * y)), "image/png"

    @functools.cached_property
    def pdf(self):
        return documents.document(*[f"Page {n}\nof a short document" for n in range(1, 13)])

    def document(self):
        return self.pdf, "application/pdf"

    def scan(self, params):
        """A page with a few words, or the only line of a small one."""
        writer = documents.Writer()
        if params.get("page_segmentation") == "single_line":
            tree, _ = documents.pages_of(writer, [documents.shown([(10, 12, "12345.67")], 20)], size=(160, 40))
        else:
            tree, _ = documents.pages_of(writer, [documents.shown([(20, 60, "The quick brown fox"), (20, 30, "jumps over it")], 18)], size=(240, 90))
        return writer.file(writer.add(b"<< /Type /Catalog /Pages %d 0 R >>" % tree)), "application/pdf"

    def of_type(self, media_type):
        return self.document() if media_type == "application/pdf" else self.picture(media_type)


# What each task is given, by its parameters: inputs by name, each a list of (bytes, media type).
INPUTS = {
    "demo.sum_squares": lambda make, params: {},
    "image.compare": lambda make, params: {
        "image": [make.picture("image/jpeg")],
        "reference": [make.smaller() if params.get("resize") else make.picture()],
    },
    "image.inspect": lambda make, params: {"image": [make.picture()]},
    "image.transform": lambda make, params: {"image": [make.picture()]},
    "ocr.recognize": lambda make, params: {"document": [make.scan(params)]},
    "pdf.assemble": lambda make, params: {"document": [make.document(), make.scan(params)]},
    "pdf.inspect": lambda make, params: {"document": [make.document()]},
    "pdf.render": lambda make, params: {"document": [make.document()]},
    "pdf.text": lambda make, params: {"document": [make.document()]},
}
# Inputs that no example has.
OPTIONAL = {("image.transform", "watermark"): lambda make: [make.smaller()]}
# Media types that nothing here can make.
NOT_MADE = {"image/avif": "libvips may be without it", "image/heic": "no free encoder is at hand"}
# Outputs that differ from run to run, and why.
VARIES = {
    ("ocr.recognize", "application/pdf"): "it has the time at which it was made",
    ("pdf.assemble", "application/pdf"): "it is encrypted with random numbers",
}


@pytest.fixture(scope="module")
def make(stack):
    return Makers(stack)


@pytest.fixture(scope="module")
def catalogue(stack):
    return {task["name"]: task for task in stack.get("/v1/tasks").json()["tasks"]}


def check_served(catalogue, name):
    stack_module.skip_without_module(name)
    assert name in catalogue


def body_of(params, inputs, slots):
    """A body in JSON; inputs of which there may be many are arrays."""
    many = {slot["name"] for slot in slots if "many" in slot}
    body = dict(params)
    for name, files in inputs.items():
        values = [{"base64": base64.b64encode(data).decode(), "media_type": media_type} for data, media_type in files]
        body[name] = values if name in many else values[0]
    return body


def run_now(stack, name, body):
    return stack.post(f"/v1/tasks/{name}", json=body, headers={"Accept": "application/json"}, timeout=120)


def run_as_job(stack, name, body):
    job = stack.submit(name, body)
    assert stack.wait_for_job(job["id"], seconds=120)["state"] == "succeeded", stack.job(job["id"])
    return stack.get(job["links"]["result"], headers={"Accept": "application/json"})


def content_of(answer):
    """An answer in JSON; of an output that is itself JSON the bytes come, and it is put together here."""
    assert answer.headers["Content-Type"] == "application/json"
    if "Content-Disposition" not in answer.headers:
        return answer.json()
    name = re.search('filename="(.*)[.]json"', answer.headers["Content-Disposition"])[1]
    output = {"name": name, "media_type": "application/json", "size": len(answer.content),
              "sha256": hashlib.sha256(answer.content).hexdigest(), "base64": base64.b64encode(answer.content).decode()}  # fmt: skip
    return {"result": json.loads(answer.headers["Gangsaw-Result"]), "outputs": [output]}


EXAMPLES = [pytest.param(name, example, id=f"{name}-{i}") for name, task in TASKS.items() for i, example in enumerate(task["examples"], 1)]


def check_answer(task, answer):
    """Does it keep what the descriptor says? Its outputs: name, media type, and what their bytes are known by."""
    jsonschema.Draft202012Validator(task["result"]).validate(answer.get("result", {}))
    slots = {slot["name"]: slot for slot in task.get("outputs", [])}
    counts = dict.fromkeys(slots, 0)
    for output in answer.get("outputs", []):
        slot = slots[output["name"].partition(".")[0]]
        counts[slot["name"]] += 1
        assert output["media_type"] in slot["media_types"]
        assert output["size"] == len(base64.b64decode(output["base64"], validate=True)) > 0
    for name, slot in slots.items():
        assert counts[name] >= (0 if slot.get("optional") else 1), f"no output {name}"
        assert counts[name] <= slot.get("many", {"max": 1})["max"]
    return [(each["name"], each["media_type"], (task["name"], each["media_type"]) in VARIES or each["sha256"])
            for each in answer.get("outputs", [])]  # fmt: skip


# ---- what works


def test_the_catalogue_is_that_of_the_modules_that_are_built(catalogue):
    built = {path.stem for path in stack_module.BUILD.glob("modules/.libs/*.so")}
    assert set(catalogue) == {name for name, task in TASKS.items() if task["module"] in built}


def test_every_task_has_inputs_here():
    assert set(INPUTS) == set(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_one_to_four_examples(name):
    assert 1 <= len(TASKS[name]["examples"]) <= 4


@pytest.mark.parametrize("name", TASKS)
def test_every_property_is_explained(name):
    """For the documentation, OpenAPI and the form."""

    def check(schema, place):
        for word, inner in schema.get("properties", {}).items():
            assert inner.get("description"), f"{place}/{word} has no description"
            check(inner, f"{place}/{word}")
        if isinstance(schema.get("items"), dict):
            check(schema["items"], f"{place}/items")

    check(TASKS[name]["params"], "params")
    check(TASKS[name].get("result", {}), "result")


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_an_example_works_now_and_as_a_job(stack, catalogue, make, name, example):
    check_served(catalogue, name)
    task = catalogue[name]
    assert example in task["examples"]
    body = body_of(example["params"], INPUTS[name](make, example["params"]), task.get("inputs", []))
    later = run_as_job(stack, name, body)
    assert later.status_code == 200, later.text[:2000]
    later = content_of(later)
    outputs = check_answer(task, later)
    if task.get("mode") == "job":
        return
    now = run_now(stack, name, body)
    assert now.status_code == 200, now.text[:2000]
    now = content_of(now)
    assert now["result"] == later["result"]
    assert check_answer(task, now) == outputs


def test_all_tasks_get_along_in_one_executor(start_stack):
    """Modules bring libraries that they share, and parts of each other."""
    own = start_stack(compute_slots=1, executor_idle_mb=8192)
    make = Makers(own)
    tasks = [task for task in own.get("/v1/tasks").json()["tasks"] if task.get("mode") != "job"]
    executors = {each["pid"] for each in own.pool()["executors"]}
    for task in [*tasks, *reversed(tasks)]:
        params = task["examples"][0]["params"]
        answer = run_now(own, task["name"], body_of(params, INPUTS[task["name"]](make, params), task.get("inputs", [])))
        assert answer.status_code == 200, f"{task['name']}: {answer.text[:500]}"
    assert {each["pid"] for each in own.pool()["executors"]} == executors


def test_the_documentation_has_the_same_examples():
    page = (ROOT / "docs" / "tasks.md").read_text()
    sections = dict(re.findall(r"^## ([\w.]+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    assert {name for name in sections if name in TASKS} == set(TASKS)
    for name, task in TASKS.items():
        rows = re.findall(r"^\| .* \| `(\{.*\})` \|$", sections[name], re.MULTILINE)
        assert [json.loads(row.replace("\\|", "|")) for row in rows] == [each["params"] for each in task["examples"]]


# ---- what does not


def wrong_contents(data):
    yield "empty", b""
    yield "random bytes", random.Random(7).randbytes(4096)
    yield "text", b"No picture, no document: a text of a few words.\n" * 20
    yield "another program's", b"PK\x03\x04" + bytes(200)
    for i in range(1, CUTS + 1):
        yield f"cut at {i} of {CUTS + 1}", data[: len(data) * i // (CUTS + 1)]


def params_for(make, task, slot):
    """Parameters of an example that uses this input; it may be one that can be left out."""
    if (task["name"], slot["name"]) in OPTIONAL:
        return {}
    if task["name"] in READS_ALL:
        return READS_ALL[task["name"]]
    for example in task["examples"]:
        if slot["name"] in INPUTS[task["name"]](make, example["params"]):
            return example["params"]
    raise AssertionError(f"no example of {task['name']} uses its input {slot['name']}")


SLOTS = [pytest.param(name, slot, id=f"{name}-{slot['name']}") for name, task in TASKS.items() for slot in task.get("inputs", [])]


def files_of(stack):
    """All that there is below the stack's folder but logs and the database, which writes when it likes."""
    return {path for path in stack.var.rglob("*") if path.relative_to(stack.var).parts[0] not in ("log", "postgres")}


@pytest.fixture
def unharmed(stack):
    """No executor failed meanwhile, and no file has come."""
    files = files_of(stack)
    failed = stack.pool()["exits"]["executors"]["failed"]
    yield
    assert stack.pool()["exits"]["executors"]["failed"] == failed
    assert files_of(stack) == files


@pytest.mark.parametrize(("name", "slot"), SLOTS)
def test_bad_content_costs_its_run_a_problem_and_nothing_else(stack, catalogue, make, unharmed, name, slot):
    check_served(catalogue, name)
    task = catalogue[name]
    params = params_for(make, task, slot)
    good = INPUTS[name](make, params)
    if (name, slot["name"]) in OPTIONAL:
        good[slot["name"]] = OPTIONAL[name, slot["name"]](make)
    for media_type in sorted({good[slot["name"]][0][1], *slot.get("media_types", [])} - set(NOT_MADE)):
        data = make.of_type(media_type)[0]
        for what, content in wrong_contents(data):
            body = body_of(params, {**good, slot["name"]: [(content, media_type)]}, task["inputs"])
            answer = run_now(stack, name, body)
            if answer.status_code == 200:
                assert media_type in READ_IN_PART and what.startswith("cut"), f"{media_type}, {what}"
                check_answer(task, content_of(answer))
            else:
                detail = problem_of(answer, "invalid-input", 422)["detail"]
                assert detail[0].isupper() and detail.endswith("."), detail
    answer = run_now(stack, name, body_of(params, good, task["inputs"]))
    assert answer.status_code == 200, answer.text[:2000]

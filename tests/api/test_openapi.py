# SPDX-License-Identifier: BSD-2-Clause
"""GET /openapi.json is valid OpenAPI 3.1 and says what the server does."""

import base64
import copy
import json
import os
import re
import subprocess

import jsonschema
import pictures
import pytest
import stack as stack_module

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
MEDIA_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+")
PICTURE = pictures.png(120, 100, pictures.gradient)

# What no descriptor that is shipped has: inputs with "many" and without a list of types, optional
# ones, parameters that are arrays, an output that is JSON itself, a task that only runs as a job.
ODD = [
    {
        "name": "demo.join",
        "summary": "Several inputs and outputs",
        "inputs": [
            {"name": "page", "max_bytes": 100, "media_types": ["text/plain"], "many": {"max": 5}},
            {"name": "cover", "max_bytes": 10, "optional": True},
        ],
        "params": {
            "type": "object",
            "properties": {
                "order": {"type": "array", "items": {"type": "integer"}, "default": [1]},
                "title": {"type": ["string", "null"]},
            },
        },
        "outputs": [{"name": "book", "media_types": ["text/plain"], "many": {"max": 5}}],
        "examples": [{"summary": "Two pages", "params": {"order": [2, 1]}}],
    },
    {
        "name": "demo.bytes",
        "summary": "Any bytes to JSON",
        "mode": "job",
        "inputs": [{"name": "bytes", "max_bytes": 100, "optional": True}],
        "params": {
            "type": "object",
            "required": ["ranges"],
            "properties": {"ranges": {"type": "array", "items": {"type": "integer"}}},
        },
        "outputs": [],
    },
    {
        "name": "demo.rows",
        "summary": "JSON as an output",
        "inputs": [],
        "params": {"type": "object"},
        "outputs": [{"name": "rows", "media_types": ["application/json", "text/csv"]}],
        "result": {"type": "object", "properties": {"count": {"type": "integer"}}},
    },
]


def fetch(stack):
    answer = stack.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    return answer.json()


@pytest.fixture(scope="module")
def document(stack):
    return fetch(stack)


@pytest.fixture(scope="module")
def odd_document(tmp_path_factory):
    """Of a server with descriptors of this file; nothing has to run for that."""
    folder = tmp_path_factory.mktemp("odd")
    common = {"version": 1, "module": "demo", "class": "cpu"}
    limits = {"seconds": 1, "memory_mb": 64, "output_bytes": 1000}
    for task in ODD:
        (folder / f"{task['name']}.json").write_text(json.dumps({**common, **task, "limits": limits}))
    (folder / "gangsaw.conf").write_text("")
    env = {k: v for k, v in os.environ.items() if not k.startswith("GANGSAW_")}
    env.update(
        GANGSAW_CONFIG=str(folder / "gangsaw.conf"),
        GANGSAW_SERVER_TASKS_DIR=str(folder),
        GANGSAW_SERVER_USER="nobody",
        REQUEST_METHOD="GET",
        PATH_INFO="/openapi.json",
        REQUEST_URI="/openapi.json",
    )
    done = subprocess.run([stack_module.BUILD / "gangsaw", "cgi"], env=env, check=True, timeout=30,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)  # fmt: skip
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    assert head.startswith(b"Status: 200")
    return json.loads(body)


def resolve(document, value):
    """What a Reference Object refers to; all of ours are within the document."""
    while "$ref" in value:
        found = document
        for word in value["$ref"].removeprefix("#/").split("/"):
            found = found[word.replace("~1", "/").replace("~0", "~")]
        value = found
    return value


def objects_in(value):
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects_in(each)


def validate(document, schema, value):
    """By a schema of the document, whose references start at the document's root."""
    jsonschema.Draft202012Validator({"allOf": [schema], "components": document["components"]}).validate(value)


def check_content(document, content):
    assert content
    for media_type, body in content.items():
        assert MEDIA_TYPE.fullmatch(media_type)
        jsonschema.Draft202012Validator.check_schema(body["schema"])
        assert set(body.get("encoding", {})) <= set(body["schema"].get("properties", {}))
        for example in body.get("examples", {}).values():
            assert example["summary"]
            validate(document, body["schema"], example["value"])


def check_schema_or_content(document, value):
    assert ("schema" in value) != ("content" in value)
    if "content" in value:
        assert len(value["content"]) == 1
        check_content(document, value["content"])
    else:
        jsonschema.Draft202012Validator.check_schema(value["schema"])


def check_parameters(document, path, operation):
    parameters = [resolve(document, each) for each in operation.get("parameters", [])]
    for each in parameters:
        assert each["name"] and each["in"] in ("query", "header", "path", "cookie")
        assert each["in"] != "path" or each["required"] is True
        check_schema_or_content(document, each)
    names = [(each["name"], each["in"]) for each in parameters]
    assert len(set(names)) == len(names)
    assert [name for name, place in names if place == "path"] == re.findall(r"\{(\w+)\}", path)


def check_responses(document, responses):
    assert responses
    for status, response in responses.items():
        assert re.fullmatch("[1-5][0-9]{2}|default", status)
        response = resolve(document, response)
        assert response["description"]
        for header in response.get("headers", {}).values():
            check_schema_or_content(document, resolve(document, header))
        check_content(document, response["content"])


def check_openapi(document):
    """What the OpenAPI specification requires of the parts that ours has."""
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert document["info"]["title"] and document["info"]["version"]
    assert document["servers"] == [{"url": "/"}]
    assert set(document) <= {"openapi", "info", "servers", "paths", "components"}
    ids = []
    for path, item in document["paths"].items():
        assert path.startswith("/") and item.keys() <= METHODS
        for operation in item.values():
            ids.append(operation["operationId"])
            assert operation["summary"] and operation["tags"]
            check_parameters(document, path, operation)
            if "requestBody" in operation:
                check_content(document, operation["requestBody"]["content"])
            check_responses(document, operation["responses"])
    assert len(set(ids)) == len(ids)
    for kind in document["components"].values():
        assert all(re.fullmatch(r"[a-zA-Z0-9._-]+", name) for name in kind)
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def tasks_of(document):
    """Tasks that have an operation."""
    runs = [path for path, item in document["paths"].items() if "post" in item and path.startswith("/v1/tasks/")]
    return [path.removeprefix("/v1/tasks/") for path in runs]


def operation_of(document, task):
    stack_module.skip_without_module(task)
    return document["paths"][f"/v1/tasks/{task}"]["post"]


def example_of(document, task, number=1):
    content = operation_of(document, task)["requestBody"]["content"]
    return copy.deepcopy(content["application/json"]["examples"][f"example{number}"]["value"])


def check_answer(document, task, answer):
    """Is this successful answer one that the document announces?"""
    assert answer.status_code == 200, answer.text
    announced = operation_of(document, task)["responses"]["200"]
    content = announced["content"][answer.headers["Content-Type"]]
    for name, header in announced["headers"].items():
        header = resolve(document, header)
        if "content" in header and name in answer.headers:
            validate(document, header["content"]["application/json"]["schema"], json.loads(answer.headers[name]))
    assert answer.headers["Server-Timing"] and answer.headers["X-Request-Id"]
    if answer.headers["Content-Type"] == "application/json":
        validate(document, content["schema"], answer.json())


def test_the_document_is_valid_openapi(document):
    check_openapi(document)


def test_any_descriptor_gives_valid_openapi(odd_document):
    check_openapi(odd_document)
    assert len(tasks_of(odd_document)) == len(ODD)


@pytest.mark.parametrize("which", ["document", "odd_document"])
def test_every_reference_leads_somewhere(which, request):
    whole = request.getfixturevalue(which)
    references = [each for each in objects_in(whole) if "$ref" in each]
    assert references
    for each in references:
        assert each["$ref"].startswith("#/")
        resolve(whole, each)


def test_every_route_is_described(document):
    source = (stack_module.ROOT / "fcgi-app" / "api" / "routes.c").read_text()
    routes = re.findall(r'\{"(/[^"]*)", HTTP_(\w+), \w+, [^}]+\}', source)
    assert len(routes) > 5
    missing = [
        (path, method)
        for path, method in routes
        if (path, method) != ("/v1/tasks/{task}", "POST")
        and not path.startswith("/internal/")
        and method.lower() not in document["paths"].get(path, {})
    ]
    assert missing == []


def check_page(document, method, path, answer, status=200):
    """Is this the successful answer that the document announces?"""
    assert answer.status_code == status, answer.text
    announced = document["paths"][path][method]["responses"][str(status)]
    media_type = answer.headers["Content-Type"]
    if media_type == "application/json":
        validate(document, announced["content"][media_type]["schema"], answer.json())
    for name in announced["headers"]:
        assert name in answer.headers or name not in ("X-Request-Id", "Location", "Operation-Location", "ETag")


def test_every_page_answers_as_described(stack, document):
    blob = stack.post("/v1/blobs", data=PICTURE, headers={"Content-Type": "image/png"})
    check_page(document, "post", "/v1/blobs", blob, 201)
    batch = {"jobs": [{"task": "image.transform", "params": {"image": {"blob": blob.json()["id"]}, "width": 9}}] * 2}
    stored = stack.post("/v1/jobs", json=batch)
    check_page(document, "post", "/v1/jobs", stored, 202)
    job = stored.json()["jobs"][0]["id"]
    assert stack.wait_for_job(job)["state"] == "succeeded"
    names = {"task": "demo.sum_squares", "job": job, "blob": blob.json()["id"], "name": "image"}
    for path, item in document["paths"].items():
        if "get" in item and not path.endswith("/events"):
            check_page(document, "get", path, stack.get(path.format(**names)))
    for action in ("retry", "cancel"):
        path = "/v1/jobs/{job}/" + action
        check_page(document, "post", path, stack.post(path.format(**names)))
    check_page(document, "get", "/v1/jobs", stack.get("/v1/jobs?limit=1"))


def test_a_run_that_is_stored_answers_as_described(stack, document):
    path = "/v1/tasks/demo.sum_squares"
    answer = stack.post(path, json={"n": 1}, headers={"Prefer": "respond-async"})
    check_page(document, "post", path, answer, 202)


def test_a_job_that_failed_is_as_described(stack, document):
    id = stack.sql("""SELECT gangsaw.enqueue('demo.sum_squares', params => '{"n": "x"}')""")[0][0]
    assert stack.wait_for_job(id)["state"] == "failed"
    check_page(document, "get", "/v1/jobs/{job}", stack.get(f"/v1/jobs/{id}"))


def test_every_task_has_an_operation(stack, document):
    tasks = stack.get("/v1/tasks").json()["tasks"]
    assert sorted(tasks_of(document)) == sorted(task["name"] for task in tasks)
    for task in tasks:
        operation = operation_of(document, task["name"])
        assert operation["operationId"] == task["name"]
        assert operation["summary"] == task["summary"]
        body = operation["requestBody"]["content"]
        assert {"application/json", "multipart/form-data"} <= set(body)
        examples = body["application/json"].get("examples", {}).values()
        assert [each["summary"] for each in examples] == [each["summary"] for each in task.get("examples", [])]


def test_schemas_of_descriptors_are_json_schema_and_take_their_examples(stack):
    for task in stack.get("/v1/tasks").json()["tasks"]:
        for schema in (task["params"], task.get("result", {})):
            jsonschema.Draft202012Validator.check_schema(schema)
        for example in task.get("examples", []):
            jsonschema.Draft202012Validator(task["params"]).validate(example["params"])


def test_an_example_of_the_document_works_as_it_stands(stack, document):
    task = "demo.sum_squares"
    answer = stack.post(f"/v1/tasks/{task}", json=example_of(document, task))
    check_answer(document, task, answer)
    assert answer.json()["result"]["sum"] == "333332833333500000"


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("accept", ["*/*", "application/json"])
def test_an_example_with_a_real_picture_works_as_json(stack, document, number, accept):
    task = "image.transform"
    body = example_of(document, task, number)
    body["image"]["base64"] = base64.b64encode(PICTURE).decode()
    answer = stack.post(f"/v1/tasks/{task}", json=body, headers={"Accept": accept})
    check_answer(document, task, answer)
    assert (answer.headers["Content-Type"] == "application/json") == (accept == "application/json")


def test_an_example_works_as_a_form_of_the_documents_parts(stack, document):
    task = "image.transform"
    content = operation_of(document, task)["requestBody"]["content"]["multipart/form-data"]
    assert "image/png" in content["encoding"]["image"]["contentType"].split(", ")
    params = example_of(document, task)
    del params["image"]
    assert set(params) < set(content["schema"]["properties"])
    parts = {name: (None, json.dumps(value)) for name, value in params.items()}
    answer = stack.post(f"/v1/tasks/{task}", files={**parts, "image": ("a.png", PICTURE, "image/png")})
    check_answer(document, task, answer)


def test_an_example_works_as_bytes_with_the_documents_query(stack, document):
    task = "image.transform"
    operation = operation_of(document, task)
    assert "image/png" in operation["requestBody"]["content"]
    params = example_of(document, task, 3)
    del params["image"]
    declared = {each["name"]: each for each in operation["parameters"] if each.get("in") == "query"}
    query = {name: json.dumps(value) if "content" in declared[name] else value for name, value in params.items()}
    answer = stack.post(
        f"/v1/tasks/{task}",
        params=query,
        data=PICTURE,
        headers={"Content-Type": "image/png", "Gangsaw-Timeout": "60"},
    )
    check_answer(document, task, answer)


def test_the_query_declares_no_defaults_that_a_client_would_send_twice(document):
    for item in document["paths"].values():
        for operation in item.values():
            for each in operation.get("parameters", []):
                assert "default" not in each.get("schema", {})
    fit = next(p for p in operation_of(document, "image.transform")["parameters"] if p.get("name") == "fit")
    assert fit["description"].endswith('Default: "inside".')


@pytest.mark.parametrize("path, body", [("demo.sum_squares", {"n": "x", "m": 1}), ("no.such_task", {})])
def test_a_problem_is_as_described(stack, document, path, body):
    answer = stack.post(f"/v1/tasks/{path}", json=body)
    assert answer.status_code >= 400
    response = document["components"]["responses"]["Problem"]
    content = response["content"][answer.headers["Content-Type"]]
    validate(document, content["schema"], answer.json())


def test_several_inputs_are_arrays_and_optional_ones_are_not_required(odd_document):
    content = dict(operation_of(odd_document, "demo.join")["requestBody"]["content"])
    assert content.pop("text/plain")["schema"] == {"type": "string", "format": "binary"}  # the one that is not optional
    assert set(content) == {"application/json", "multipart/form-data"}
    pages = content["application/json"]["schema"]["properties"]["page"]
    assert (pages["type"], pages["minItems"], pages["maxItems"]) == ("array", 1, 5)
    assert pages["description"] == "At most 100 bytes each."
    for each in content.values():
        assert each["schema"]["required"] == ["page"]
    assert example_of(odd_document, "demo.join") == {"order": [2, 1], "page": [{"base64": "AAAA"}]}


def test_an_array_is_one_part_of_a_form_and_one_parameter_of_a_query(odd_document):
    form = operation_of(odd_document, "demo.join")["requestBody"]["content"]["multipart/form-data"]
    order = form["schema"]["properties"]["order"]
    assert (order["type"], order["contentMediaType"]) == ("string", "application/json")
    assert order["contentSchema"]["type"] == "array"
    assert form["schema"]["properties"]["page"]["type"] == "array"
    ranges = next(p for p in operation_of(odd_document, "demo.bytes")["parameters"] if p.get("name") == "ranges")
    assert ranges["in"] == "query"
    assert ranges["content"]["application/json"]["schema"]["type"] == "array"
    assert ranges["description"] == "Required, here or in the body."


def test_an_input_of_any_type_is_taken_as_bytes(odd_document):
    body = operation_of(odd_document, "demo.bytes")["requestBody"]
    assert "application/octet-stream" in body["content"]
    assert body["required"] is False


def test_a_task_that_only_runs_as_a_job_promises_no_answer_now(odd_document):
    assert set(operation_of(odd_document, "demo.bytes")["responses"]) == {"202", "401", "403", "429", "default"}


def test_an_input_in_json_is_bytes_or_a_file(document):
    schema = document["components"]["schemas"]["Input"]
    validate(document, schema, {"base64": "AAAA", "media_type": "image/png"})
    validate(document, schema, {"blob": "1", "file_name": "a.png"})
    for wrong in ({}, {"blob": 1}, {"blob": "1", "base64": "AAAA"}, {"blob": "1", "other": ""}):
        with pytest.raises(jsonschema.ValidationError):
            validate(document, schema, wrong)


def test_several_outputs_are_one_or_json_or_a_zip(odd_document):
    answer = operation_of(odd_document, "demo.join")["responses"]["200"]
    assert set(answer["content"]) == {"text/plain", "application/json", "application/zip"}
    assert "outputs" in answer["content"]["application/json"]["schema"]["properties"]


def test_an_output_that_is_json_is_the_answer_itself(odd_document):
    answer = operation_of(odd_document, "demo.rows")["responses"]["200"]
    assert set(answer["content"]) == {"application/json", "text/csv"}
    assert answer["content"]["application/json"]["schema"] == {}
    assert "Gangsaw-Result" in answer["headers"]

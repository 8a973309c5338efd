# SPDX-License-Identifier: BSD-2-Clause
"""Each task on real input: Gangsaw beside the bare library in a loop, and beside what people use."""

import dataclasses
import http.client
import io
import json
import pathlib
import shutil
import socket
import tempfile

import requests

from harness import CORES
from harness.contender import registry
from harness.measurement import Aim, Column, Plot, Result, Row, Table, Value, alternate, values
from harness.processes import cpu_seconds, peak_mb, tree
from servers.loops.loops import Loops, build_loop
from stack import BUILD, ROOT, SHARED_DATA

NAME = "catalogue"
TITLE = "Every task"
SECONDS = 1.0
CONTENDERS = ["gangsaw", "fastapi-files", "sharp"]

CLIENTS = 2 * CORES
AIM = 0.95  # of the loop's rate, for runs above AIM_MS
AIM_MS = 10

# ---- the works


@dataclasses.dataclass
class Work:
    """`inputs` are names of the task's inputs with files of the shared data; the other members say
    what each contender makes of the same files, and are None where there is nothing to compare with."""

    name: str
    task: str
    inputs: list
    params: dict = dataclasses.field(default_factory=dict)
    library: tuple = None  # program of servers/loops, case
    pool: str = None  # function of servers/fastapi-files/app.py
    sharp: str = None  # function of servers/sharp/server.mjs
    command: list = None  # words for servers/fastapi-files/app.py
    is_thumbnail: bool = False  # to be compared with Lanczos' of all pixels

    @property
    def paths(self):
        return [SHARED_DATA / file for _, file in self.inputs]


PHOTOGRAPH = [("image", "images/2569067123_aca715a2ee_o.jpg")]
DOCUMENT = [("document", "pdf/pdf20-utf8-test.pdf")]
DOCUMENTS = [("document", f"pdf/{name}.pdf")
             for name in ("Simple_PDF_2.0_file", "PDF_2.0_image_with_BPC", "PDF_2.0_via_incremental_save")]  # fmt: skip

WORKS = [
    Work("thumbnail, JPEG", "image.transform", PHOTOGRAPH, {"width": 400, "format": "jpeg"},
         library=("image", "thumbnail_jpeg"), pool="thumbnail_jpeg", sharp="thumbnail_jpeg",
         command=["vipsthumbnail", "{0}", "--size", "400x", "-o", "{out}.jpg[Q=80,strip]"], is_thumbnail=True),
    Work("thumbnail, WebP", "image.transform", PHOTOGRAPH, {"width": 400, "format": "webp"},
         library=("image", "thumbnail_webp"), pool="thumbnail_webp", sharp="thumbnail_webp",
         command=["vipsthumbnail", "{0}", "--size", "400x", "-o", "{out}.webp[Q=80,strip]"], is_thumbnail=True),
    Work("picture, inspect", "image.inspect", PHOTOGRAPH, pool="inspect", sharp="inspect",
         command=["exiftool", "-json", "{0}"]),
    Work("pictures, compare", "image.compare", [("image", "images/Landscape_1.jpg"), ("reference", "images/Landscape_3.jpg")],
         command=["sh", "-c", "compare -metric PSNR {0} {1} null: 2>&1 || [ $? = 1 ]"]),
    Work("OCR", "ocr.recognize", [("document", "ocr/phototest.tif")], library=("ocr", "text"),
         command=["tesseract", "{0}", "stdout"]),
    Work("PDF, inspect", "pdf.inspect", DOCUMENT, command=["pdfinfo", "{0}"]),
    Work("PDF, text", "pdf.text", DOCUMENT, library=("pdf", "text"), command=["pdftotext", "{0}", "-"]),
    Work("PDF, page as PNG", "pdf.render", DOCUMENT, {"dpi": 150}, library=("pdf", "render"),
         command=["pdftoppm", "-r", "150", "-png", "{0}", "{out}"]),
    Work("PDF, three in one", "pdf.assemble", DOCUMENTS, library=("pdf", "merge"),
         command=["qpdf", "--empty", "--pages", "{0}", "{1}", "{2}", "--", "{out}"]),
]  # fmt: skip
SMOKE = ("thumbnail, JPEG", "PDF, text")

MEDIA_TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".gif": "image/gif",
               ".tif": "image/tiff", ".pdf": "application/pdf"}  # fmt: skip

# ---- a load of clients, and what all of a server's processes use


def whole_request(work, path, params):
    """What a client sends: the body itself when there is one input, multipart when there are several."""
    files = [(name, (file.name, file.read_bytes(), MEDIA_TYPES[file.suffix]))
             for (name, _), file in zip(work.inputs, work.paths)]  # fmt: skip
    url, headers = "http://localhost" + path, {"Accept": "*/*"}
    if len(files) == 1:
        query = {k: v if isinstance(v, str) else json.dumps(v) for k, v in params.items()}
        request = requests.Request("POST", url, params=query, data=files[0][1][1],
                                   headers={**headers, "Content-Type": files[0][1][2]})  # fmt: skip
    else:
        if params:
            files.append(("params", (None, json.dumps(params), "application/json")))
        request = requests.Request("POST", url, files=files, headers=headers)
    ready = request.prepare()
    head = f"POST {ready.path_url} HTTP/1.1\r\nHost: localhost\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in ready.headers.items())
    return head.encode() + b"\r\n" + ready.body


def answer_to(port, request):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        body = answer.read()
    assert answer.status == 200, body[:500]
    return body


class Load:
    """A closed loop of clients, in C, on a server; its processes are counted, the clients not."""

    def __init__(self, folder, server, request, peak=None):
        self.server, self.peak = server, peak or self.largest
        self.answer = answer_to(server.port, request)
        self.file = pathlib.Path(tempfile.mkstemp(dir=folder)[1])
        self.file.write_bytes(request)
        self.clients = Loops(build_loop("client"), "post", server.port, self.file, count=CLIENTS)

    def largest(self):
        """Peak of the largest process behind the first one; of the first one when it is alone."""
        pids = tree(self.server.roots())
        return max(map(peak_mb, pids - set(self.server.roots()) or pids))

    def measure(self, seconds):
        pids = tree(self.server.roots())
        before = cpu_seconds(pids)
        got = self.clients.measure(seconds)
        used = cpu_seconds(pids | tree(self.server.roots())) - before
        return {**got, "cpu_ms": used / got["runs"] * 1e3, "peak_mb": self.peak()}

    def close(self):
        self.clients.close()
        self.file.unlink()


# ---- contenders of a work: a Loops or a Load, None where there is nothing to compare with

TITLES = {
    "gangsaw": "Gangsaw",
    "module": "the module in a loop",
    "library": "the library in a loop",
    "pool": "FastAPI, pool: Pillow",
    "sharp": "node: sharp",
    "command": "FastAPI, command",
}


class Arena:
    def __init__(self, bench, names):
        self.bench, self.names = bench, names

    def made(self, work):
        """{name: Loops or Load}"""
        found = {name: getattr(self, name)(work) for name in TITLES}
        return {name: each for name, each in found.items() if each}

    def gangsaw(self, work):
        server = self.bench.contender("gangsaw")
        begin = len(server.stack.log("compute", "run"))
        return Load(self.bench.folder, server, whole_request(work, f"/v1/tasks/{work.task}", work.params),
                    lambda: self.peak_of_runs(server.stack, begin))  # fmt: skip

    def peak_of_runs(self, stack, begin):
        """By the log: most resident memory of an executor during a run."""
        lines = [json.loads(line) for line in stack.log("compute", "run")[begin:]]
        return max(each.get("peak_bytes", 0) for each in lines) / 2**20

    def module(self, work):
        folder = work.task.partition(".")[0]
        inputs = [word for (name, _), file in zip(work.inputs, work.paths) for word in (name, MEDIA_TYPES[file.suffix], file)]
        return Loops(build_loop("module"), "run", BUILD / "modules" / ".libs" / f"{folder}.so",
                     f"fcgi-app/tasks/{folder}/{work.task}.json", json.dumps(work.params), *inputs)  # fmt: skip

    def library(self, work):
        program = work.library and build_loop(work.library[0])
        return program and Loops(program, work.library[1], *work.paths)

    def pool(self, work):
        return work.pool and self.files("pool", work.pool, work)

    def sharp(self, work):
        if not work.sharp or "sharp" not in self.names:
            return None
        return Load(self.bench.folder, self.bench.contender("sharp"), whole_request(work, f"/{work.sharp}", {}))

    def command(self, work):
        """Its peak is that of the command alone: a process that has ended cannot be asked."""
        if not work.command or not shutil.which(work.command[0]):
            return None
        words = [word.format(*work.paths, out=self.bench.folder / "out") for word in work.command]
        with Loops(build_loop("command"), "run", *words, count=1) as alone:
            peak = alone.measure(0)["peak_mb"]
        return self.files("command", work.name, work, lambda: peak)

    def files(self, kind, name, work, peak=None):
        if "fastapi-files" not in self.names:
            return None
        server = self.bench.contender("fastapi-files")
        return Load(self.bench.folder, server, whole_request(work, server.request(kind, task=name).path, {}), peak)

    def ssim(self, work, answer):
        """Of a thumbnail, beside Pillow's by Lanczos' kernel from all pixels, by image.compare."""
        from PIL import Image  # a package of a contender's

        thumbnail, reference = Image.open(io.BytesIO(answer)), io.BytesIO()
        with Image.open(work.paths[0]) as photograph:
            photograph.resize(thumbnail.size, Image.Resampling.LANCZOS).save(reference, "PNG")
        got = self.bench.stack.post("/v1/tasks/image.compare", files={"image": answer, "reference": reference.getvalue()})
        assert got.status_code == 200, got.text[:500]
        return got.json()["result"]["ssim"]


# ---- the result

COLUMNS = [
    Column("rate", "runs", "runs/s", 1, "higher"),
    Column("cpu_ms", "processor time of a run", "ms", 2, "lower"),
    Column("peak_mb", "peak memory", "MB", 0, "lower"),
]
OF_ANSWER = [Column("ssim", "SSIM", "", 4, "higher"), Column("kilobytes", "answer, kB", "", 1)]
SUMMARY = [
    Column("gangsaw", "Gangsaw", "runs/s", 1),
    *(Column(name, f"of {title}", "", 2) for name, title in list(TITLES.items())[1:]),
]
METHOD = (
    "Every server gets {clients} clients in a closed loop, twice as many as there are cores, so that the next input is there when a core is "
    "free; a library runs in {cores} loops, one for each core. {rounds} rounds of {seconds:g} s. The module in a loop is its own function called "
    "without a server, the library in a loop are plain calls with the same settings. Peak memory is that of the process that computes; of "
    "node all runs at once. SSIM is beside Lanczos' kernel on all pixels."
)  # fmt: skip


def measured(arena, work, options):
    """The table of a work."""
    contenders = arena.made(work)
    of_answer = {}
    try:
        if work.is_thumbnail and "fastapi-files" in arena.names:
            of_answer = {name: {"ssim": Value.of(arena.ssim(work, each.answer)), "kilobytes": Value.of(len(each.answer) / 1e3)}
                         for name, each in contenders.items() if isinstance(each, Load)}  # fmt: skip
        got = alternate(contenders, options.rounds, lambda each: each.measure(options.seconds))
    finally:
        for each in contenders.values():
            each.close()
    columns = COLUMNS + (OF_ANSWER if of_answer else [])
    rows = []
    for name, rounds in got.items():
        title = f"{TITLES[name]} {work.command[0]}" if name == "command" else TITLES[name]
        found = {**dict.fromkeys((each.key for each in columns)), **values(rounds, "rate", "cpu_ms", "peak_mb"), **of_answer.get(name, {})}
        rows.append(Row(name, title, found, "" if name in of_answer or not of_answer else "a loop gives no answer"))
    return Table(f"{work.name} ({work.task}; {', '.join(path.name for path in work.paths)})", columns, rows)


def summarised(work, table):
    """Gangsaw's rate, and what part of each other's it is."""
    rates = {row.name: row.values["rate"].median for row in table.rows}
    found = {name: Value.of(rates["gangsaw"] / rates[name]) if name in rates else None for name in list(TITLES)[1:]}
    gangsaw = next(row.values["rate"] for row in table.rows if row.name == "gangsaw")
    missing = [TITLES[name] for name, value in found.items() if value is None]
    return Row(f"gangsaw, {work.name}", work.name, {"gangsaw": gangsaw, **found}, f"without {', '.join(missing)}" if missing else "")


def aims_of(work, table):
    """For runs above AIM_MS: of the loop with the library where there is one, else with the module."""
    rows = {row.name: row.values for row in table.rows}
    loop = rows.get("library") or rows.get("module")
    if not loop or loop["cpu_ms"].median < AIM_MS:
        return []
    return [Aim(f"{work.name}: rate, relative to the bare loop on all cores", rows["gangsaw"]["rate"].median / loop["rate"].median, AIM)]


def run(options, bench):
    names = bench.available(options.wanted(CONTENDERS))
    registry()["fastapi-files"].commands = {work.name: work.command for work in WORKS if work.command}
    served = {each["name"] for each in bench.stack.get("/v1/tasks").json()["tasks"]}
    works = [work for work in WORKS if work.name in SMOKE or not options.smoke]
    left_out = [f"{work.name} is left out: " + ("its files are missing" if work.task in served else f"the server has no {work.task}")
                for work in works if not able(work, served)]  # fmt: skip
    arena = Arena(bench, names)
    tables = {work.name: measured(arena, work, options) for work in works if able(work, served)}
    rows = [summarised(work, tables[work.name]) for work in works if work.name in tables]
    bench.stop("fastapi-files")
    return Result(
        NAME, TITLE,
        "How much of what the libraries can do is left when they are used through a server?",
        METHOD.format(clients=CLIENTS, cores=CORES, rounds=options.rounds, seconds=options.seconds),
        [Table("Gangsaw's rate, and what part of each other's it is", SUMMARY, rows), *tables.values()] if rows else [],
        [Plot("catalogue", "Gangsaw's rate as a part of the module's own in bare loops on all cores", 0, "module")] if rows else [],
        [aim for work in works if work.name in tables for aim in aims_of(work, tables[work.name])],
        left_out,
    )  # fmt: skip


def able(work, served):
    return work.task in served and all(path.is_file() for path in work.paths)

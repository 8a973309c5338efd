# SPDX-License-Identifier: BSD-2-Clause
"""FastAPI for pictures and documents: Pillow in a process pool, or a command that is started for each request.
One worker of uvicorn: what computes are the processes behind it."""

import json
import pathlib
import urllib.parse

from harness.contender import Contender, Request
from harness.processes import Program
from stack import free_port

HERE = pathlib.Path(__file__).resolve().parent


class FastapiFiles(Contender):
    """`commands` is {name: [word, …]}, see app.py."""

    name = "fastapi-files"
    title = "FastAPI, Pillow or a command"
    packages = ("python3-fastapi", "uvicorn", "python3-uvloop", "python3-httptools", "python3-multipart", "python3-pil",
                "libvips-tools", "tesseract-ocr", "poppler-utils", "qpdf", "libimage-exiftool-perl", "imagemagick")  # fmt: skip
    settings = [
        ("uvicorn --loop uvloop --http httptools", "instead of Python's own", "uvicorn, Settings: what uvicorn[standard] brings"),
        ("thumbnails", "Image.thumbnail() alone", "Pillow, Image.thumbnail(): slower than behind draft(), and better"),
        ("ProcessPoolExecutor, commands at a time", "as many as cores", "Python, Developing with asyncio: Running Blocking Code"),
    ]  # fmt: skip
    commands = {}

    def start(self, folder, bench):
        self.port = free_port()
        program = Program(
            ["/usr/bin/python3", "-m", "uvicorn", "app:app", "--port", self.port, "--loop", "uvloop", "--http", "httptools"],
            folder / "uvicorn.log", cwd=HERE, env={"COMMANDS": json.dumps(self.commands)})  # fmt: skip
        self.programs = [program]
        program.wait_until(lambda: "Uvicorn running on" in program.log.read_text(), 60)

    def request(self, work, **params):
        """`work` is "pool" or "command", `task` the function's or the command's name; the body is the caller's."""
        return Request("POST", f"/{work}/{urllib.parse.quote(params['task'])}")


CONTENDERS = [FastapiFiles]

# SPDX-License-Identifier: BSD-2-Clause
"""Pictures and documents as FastAPI's users have them made.

POST /pool/NAME: a function of Pillow in a pool of processes, one a core. POST /command/NAME: a program
that is started for the request, beside the event loop; COMMANDS in the environment is JSON, by name a
list of words, in which {0}, {1} … are files with the inputs and {out} one for the answer; without it the
answer is what the program prints. The body is the input, or multipart with several.
"""

import asyncio
import concurrent.futures
import hashlib
import io
import json
import os
import pathlib
import tempfile

from fastapi import FastAPI, Request, Response
from PIL import Image, ImageOps
from PIL.ExifTags import TAGS

COMMANDS = json.loads(os.environ["COMMANDS"])
CORES = len(os.sched_getaffinity(0))
app = FastAPI()
running = asyncio.Semaphore(CORES)


def thumbnail(bodies, kind):
    image = Image.open(io.BytesIO(bodies[0]))
    image.thumbnail((400, 400), Image.Resampling.LANCZOS)
    image = ImageOps.exif_transpose(image)
    out = io.BytesIO()
    image.save(out, kind, quality=80)
    return out.getvalue()


def thumbnail_jpeg(bodies):
    return thumbnail(bodies, "JPEG")


def thumbnail_webp(bodies):
    return thumbnail(bodies, "WEBP")


def inspect(bodies):
    image = Image.open(io.BytesIO(bodies[0]))
    exif = {TAGS.get(tag, str(tag)): str(value) for tag, value in image.getexif().items()}
    found = {"format": image.format, "width": image.width, "height": image.height, "mode": image.mode, "exif": exif,
             "frames": getattr(image, "n_frames", 1), "sha256": hashlib.sha256(bodies[0]).hexdigest()}  # fmt: skip
    return json.dumps(found).encode()


FUNCTIONS = {each.__name__: each for each in (thumbnail_jpeg, thumbnail_webp, inspect)}


@app.on_event("startup")
def start():
    app.state.pool = concurrent.futures.ProcessPoolExecutor(CORES)
    app.state.pool.submit(int)  # now they are forked: later they would keep connections of clients open


@app.get("/livez")
async def livez():
    return {"status": "ok"}


async def bodies_of(request):
    if request.headers["content-type"].startswith("multipart/"):
        form = await request.form()
        return [await part.read() for _, part in form.multi_items() if not isinstance(part, str)]
    return [await request.body()]


@app.post("/pool/{name}")
async def pool(name: str, request: Request):
    bodies = await bodies_of(request)
    answer = await asyncio.get_running_loop().run_in_executor(app.state.pool, FUNCTIONS[name], bodies)
    return Response(answer, media_type="application/octet-stream")


@app.post("/command/{name}")
async def command(name: str, request: Request):
    bodies = await bodies_of(request)
    async with running:
        with tempfile.TemporaryDirectory() as folder:
            files = [pathlib.Path(folder, str(i)) for i in range(len(bodies))]
            for file, body in zip(files, bodies):
                file.write_bytes(body)
            out = pathlib.Path(folder, "out")
            words = [word.format(*files, out=out) for word in COMMANDS[name]]
            process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE,
                                                           stderr=asyncio.subprocess.DEVNULL)  # fmt: skip
            printed, _ = await process.communicate()
            if process.returncode != 0:
                return Response(f"{words[0]} ended with {process.returncode}", 500)
            made = sorted(pathlib.Path(folder).glob("out*"))
            answer = made[0].read_bytes() if made else printed
    return Response(answer, media_type="application/octet-stream")

# SPDX-License-Identifier: BSD-2-Clause
"""A photograph made 400 pixels wide, as JPEG: libvips in Gangsaw, sharp, Pillow, GD."""

import io

from harness.closed import COLUMNS, Load, choose_clients, clients_note, measure, median, table
from harness.measurement import Aim, Column, Plot, Result, Value
from servers.shared import WIDTH

NAME = "thumbnail"
TITLE = "A thumbnail of a photograph"
QUESTION = "How many photographs a second become thumbnails, and how good are those?"
SECONDS = 2.0
CONTENDERS = ["gangsaw", "sharp", "fastapi-inline", "fastapi-threads", "fastapi-processes", "fastapi-celery", "php-fpm"]

PER_CORE = (2, 4)  # clients
METHOD = (
    "A photograph of {size} pixels ({bytes:,} bytes) is sent, a JPEG of {width} pixels and quality 80 comes back. Closed loops, "
    "{seconds:g} s, {rounds} rounds in turn; each contender has {clients} clients, as it is quickest. SSIM compares with "
    "all pixels brought down by Lanczos' kernel: 1 is the same picture."
)  # fmt: skip
EXTRA = [Column("ssim", "SSIM", "", 4, "higher"), Column("size", "bytes of the answer", "", 0)]


def size_of(bench, picture):
    got = bench.stack.post("/v1/tasks/image.inspect", data=picture, headers={"Content-Type": "image/jpeg"})
    assert got.status_code == 200, got.text[:500]
    result = got.json()["result"]
    return result["width"], result["height"]


def check(bench, load, original):
    """The picture that it gives, of the size that it should have."""
    answer = load.request.answer(load.contender.port)
    width, height = size_of(bench, answer)
    wanted = (WIDTH, round(original[1] * WIDTH / original[0]))
    assert width == wanted[0] and abs(height - wanted[1]) <= 1, f"{load.title}: {width} x {height} instead of {wanted}"
    return answer


def ssim(bench, answer):
    """None without Pillow, which makes the picture to compare with."""
    try:
        from PIL import Image
    except ImportError:
        return None
    thumbnail, reference = Image.open(io.BytesIO(answer)), io.BytesIO()
    with Image.open(bench.photograph) as photograph:
        photograph.resize(thumbnail.size, Image.Resampling.LANCZOS).save(reference, "PNG")
    got = bench.stack.post("/v1/tasks/image.compare", files={"image": answer, "reference": reference.getvalue()})
    assert got.status_code == 200, got.text[:500]
    return got.json()["result"]["ssim"]


def run(options, bench):
    names = bench.available(options.wanted(CONTENDERS))
    if not bench.photograph:
        return Result(NAME, TITLE, QUESTION, "Not measured.", [], notes=["The photograph is missing (shared data)."])
    picture = bench.photograph.read_bytes()
    original = size_of(bench, picture)
    loads, answers = [], {}
    for name in names:
        contender = bench.contender(name)
        loads.append(Load(name, contender.title, contender, contender.request("thumbnail", picture=picture), PER_CORE[0] * bench.cores,
                          is_slow=True))  # fmt: skip
        answers[name] = check(bench, loads[-1], original)
    if not options.smoke:
        choose_clients(loads, [each * bench.cores for each in PER_CORE])
    found = table("Thumbnails", loads, measure(loads, options))
    found.columns = COLUMNS + EXTRA
    for row in found.rows:
        similar = ssim(bench, answers[row.name])
        row.values["ssim"] = similar and Value.of(similar)
        row.values["size"] = Value.of(len(answers[row.name]))
        row.note = row.note if similar else "not compared: Pillow is missing"
    ours, theirs = median(found, "gangsaw"), median(found, "sharp")
    return Result(
        NAME, TITLE, QUESTION,
        METHOD.format(size=f"{original[0]} x {original[1]}", bytes=len(picture), width=WIDTH, seconds=options.seconds, rounds=options.rounds,
                      clients=" or ".join(str(each * bench.cores) for each in PER_CORE)),
        [found], [Plot("thumbnail", "Thumbnails of a photograph", 0, "rate")],
        [Aim("rate, relative to sharp's", ours / theirs, 1.0)] if ours and theirs else [], [clients_note(loads)],
    )  # fmt: skip

# SPDX-License-Identifier: BSD-2-Clause
"""image.compare: figures of two pictures against the same figures computed another way."""

import io
import json
import math

import figures
import pictures
import pytest
from PIL import Image
from stack import problem_of
from test_image_inspect import distance, encoded, image_of, inspect, noisy, rows_of

COMPARE = "/v1/tasks/image.compare"


def post(stack, image, reference, headers=None, **params):
    parts = {name: (None, str(value)) for name, value in params.items()}
    parts["image"] = ("a", image, "application/octet-stream")
    parts["reference"] = ("b", reference, "application/octet-stream")
    return stack.post(COMPARE, files=parts, headers=headers or {})


def compare(stack, image, reference, **params):
    answer = post(stack, image, reference, **params)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def changed(image, change):
    """A copy with each pixel changed; what leaves 0 to 255 is clipped."""
    copy = image.copy()
    copy.putdata([tuple(min(max(value, 0), 255) for value in change(i, pixel)) for i, pixel in enumerate(image.getdata())])
    return copy


def test_a_picture_is_identical_to_itself(stack):
    png = encoded(image_of(noisy, 40, 30), "PNG")
    for other in (png, encoded(image_of(noisy, 40, 30), "WEBP", lossless=True), encoded(image_of(noisy, 40, 30), "TIFF")):
        assert compare(stack, other, png) == {
            "width": 40, "height": 30, "is_identical": True, "mse": 0, "ssim": 1, "max_difference": 0,
            "differing_pixels": 0, "differing_share": 0, "phash_distance": 0,
        }  # fmt: skip


CHANGES = {
    "brighter": lambda i, p: tuple(value + 10 for value in p),
    "noise": lambda i, p: tuple(value + (i * 7919 % 41) - 20 for value in p),
    "one channel": lambda i, p: (p[0], p[1] // 2, p[2]),
    "negative": lambda i, p: tuple(255 - value for value in p),
    "one pixel": lambda i, p: (255, 0, 0) if i == 300 else p,
}


@pytest.mark.parametrize("name", CHANGES)
def test_figures_are_those_of_their_definitions(stack, name):
    reference = image_of(noisy, 40, 24)
    image = changed(reference, CHANGES[name])
    seen = compare(stack, encoded(image, "PNG"), encoded(reference, "PNG"), threshold=8)
    some, others = rows_of(image), rows_of(reference)
    error = figures.mean_squared_error(some, others)
    differences = [max(abs(a - b) for a, b in zip(p, q, strict=True)) for row, other in zip(some, others, strict=True) for p, q in zip(row, other, strict=True)]
    assert seen["mse"] == pytest.approx(error, rel=1e-12)
    assert seen["psnr"] == pytest.approx(10 * math.log10(255**2 / error), rel=1e-9)
    assert seen["ssim"] == pytest.approx(figures.ssim(some, others), abs=2e-5)
    assert seen["max_difference"] == max(differences)
    assert seen["differing_pixels"] == sum(each > 8 for each in differences)
    assert seen["differing_share"] == pytest.approx(seen["differing_pixels"] / (40 * 24))
    assert seen["is_identical"] is False
    assert seen["phash_distance"] == distance(figures.phash(some), figures.phash(others))


def test_worse_compression_is_worse_by_every_figure(stack, shared_data):
    image = Image.open(shared_data / "images" / "concert.jpg").convert("RGB")
    reference = encoded(image, "PNG")
    seen = [compare(stack, encoded(image, "JPEG", quality=quality), reference) for quality in (95, 75, 40, 10)]
    for name, sign in (("mse", 1), ("psnr", -1), ("ssim", -1)):
        values = [sign * each[name] for each in seen]
        assert values == sorted(values), name
    assert seen[0]["ssim"] > 0.97 and seen[0]["phash_distance"] <= 2


def test_the_orientation_is_heeded_before_comparing(stack, shared_data):
    photos = [(shared_data / "images" / f"Landscape_{n}.jpg").read_bytes() for n in (1, 3, 6)]
    for other in photos[1:]:
        seen = compare(stack, other, photos[0])
        assert (seen["width"], seen["height"]) == (600, 450)
        assert seen["ssim"] > 0.9 and seen["phash_distance"] <= 6


def test_transparency_is_compared_before_the_background(stack):
    reference = Image.new("RGB", (30, 20), (255, 255, 255))
    clear = Image.new("RGBA", (30, 20), (10, 20, 30, 0))
    assert compare(stack, encoded(clear, "PNG"), encoded(reference, "PNG"))["is_identical"] is True
    black = compare(stack, encoded(clear, "PNG"), encoded(reference, "PNG"), background="#000000")
    assert black["mse"] == 255**2 and black["psnr"] == 0


def test_grey_sixteen_bits_and_colour_are_comparable(stack):
    grey = Image.new("L", (30, 20))
    grey.putdata([(i * 37) % 256 for i in range(600)])
    deep = Image.new("I;16", (30, 20))
    for i in range(600):
        deep.putpixel((i % 30, i // 30), (i * 37) % 256 * 257)
    for other in (encoded(grey.convert("RGB"), "PNG"), encoded(deep, "PNG"), encoded(grey.convert("LA"), "PNG")):
        assert compare(stack, other, encoded(grey, "PNG"))["is_identical"] is True


def test_different_sizes_are_an_error_unless_resizing_is_asked_for(stack):
    reference, image = encoded(image_of(pictures.gradient, 80, 60), "PNG"), encoded(image_of(pictures.gradient, 80, 60).resize((40, 30), Image.BOX), "PNG")
    detail = problem_of(post(stack, image, reference), "invalid-input", 422)["detail"]
    assert "40x30" in detail and "80x60" in detail and "resize" in detail
    seen = compare(stack, image, reference, resize="true")
    assert (seen["width"], seen["height"]) == (80, 60)
    assert seen["ssim"] > 0.7 and seen["phash_distance"] <= 4


def test_a_picture_smaller_than_a_window_has_no_ssim(stack):
    small = encoded(image_of(noisy, 10, 40), "PNG")
    seen = compare(stack, small, small)
    assert "ssim" not in seen and "psnr" not in seen and seen["is_identical"] is True


def shown(answer):
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "image/png", answer.text[:300]
    return json.loads(answer.headers["Gangsaw-Result"]), rows_of(Image.open(io.BytesIO(answer.content)))


def test_the_difference_image_shows_where(stack):
    reference = image_of(noisy, 30, 20)
    image = changed(reference, lambda i, p: (p[0] ^ 128, p[1], p[2]) if i in (65, 599) else (p[0] ^ 1, p[1], p[2]))
    parts = encoded(image, "PNG"), encoded(reference, "PNG")
    headers = {"Accept": "image/png"}
    result, rows = shown(post(stack, *parts, headers, difference="absolute", threshold=1))
    assert rows == [[(128 if y * 30 + x in (65, 599) else 1, 0, 0) for x in range(30)] for y in range(20)]
    assert result["differing_pixels"] == 2
    result, rows = shown(post(stack, *parts, headers, difference="highlight", threshold=1))
    red = [y * 30 + x for y in range(20) for x in range(30) if rows[y][x] == (255, 0, 0)]
    assert red == [65, 599]
    assert all(pixel[0] == pixel[1] == pixel[2] >= 192 for row in rows for pixel in row if pixel != (255, 0, 0))


def test_a_job_gives_the_difference_too(stack):
    reference = image_of(noisy, 30, 20)
    parts = encoded(changed(reference, CHANGES["one pixel"]), "PNG"), encoded(reference, "PNG")
    answer = post(stack, *parts, {"Prefer": "respond-async"}, difference="highlight")
    assert answer.status_code == 202
    job = stack.wait_for_job(answer.json()["id"])
    assert job["state"] == "succeeded"
    result, rows = shown(stack.get(f"/v1/jobs/{job['id']}/result", headers={"Accept": "image/png"}))
    assert result["differing_pixels"] == 1 and rows[10][0] == (255, 0, 0)


def test_hashes_differ_as_image_inspect_has_them(stack, shared_data):
    photos = [(shared_data / "images" / name).read_bytes() for name in ("320x240.jpg", "concert.jpg")]
    hashes = [inspect(stack, photo, ["perceptual_hash"])["phash"] for photo in photos]
    assert compare(stack, *photos, resize="true")["phash_distance"] == distance(*hashes)


def test_both_pictures_are_within_the_limit_before_they_are_decoded(stack):
    small, huge = pictures.png(20, 20), pictures.png(1, 1, claim=(60000, 60000))
    for name, parts in (("image", (huge, small)), ("reference", (small, huge))):
        detail = problem_of(post(stack, *parts), "invalid-input", 422)["detail"]
        assert f"input {name} has 3600.0 megapixels" in detail and "max_megapixels is 40" in detail


def test_a_broken_picture_is_named(stack):
    good = encoded(image_of(noisy, 100, 100), "PNG")
    for name, parts in (("image", (good[:-500], good)), ("reference", (good, good[:-500]))):
        assert f"input {name}" in problem_of(post(stack, *parts), "invalid-input", 422)["detail"]

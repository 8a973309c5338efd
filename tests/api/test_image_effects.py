# SPDX-License-Identifier: BSD-2-Clause
"""image.transform's trim, gravity, extend and effects through HTTP: parameters in every form, now and as a job."""

import json

import pictures
import pytest
from pictures import BLUE, RED, WHITE
from stack import problem_of

TRANSFORM = "/v1/tasks/image.transform"


def framed(x, y):
    """A red and a blue half, 20 x 10 together, at (6, 4) of white."""
    if not (6 <= x < 26 and 4 <= y < 14):
        return WHITE
    return RED if x < 16 else BLUE


FRAMED = pictures.png(40, 30, framed)


def transform(stack, picture=FRAMED, media_type="image/png", **params):
    return stack.post(TRANSFORM, params=params, data=picture, headers={"Content-Type": media_type})


def pixels_of(answer):
    assert answer.status_code == 200, answer.text
    return pictures.read_png(answer.content)


def size_of(rows):
    return len(rows[0]), len(rows)


def test_trim_leaves_the_picture_without_its_border(stack):
    rows = pixels_of(transform(stack, trim="{}"))
    assert size_of(rows) == (20, 10)
    assert rows[0][0] == RED and rows[9][19] == BLUE


def test_trim_fills_in_its_defaults_in_a_form_too(stack):
    form = stack.post(TRANSFORM, files={"image": ("a.png", FRAMED, "image/png"), "trim": (None, '{"equal": "both"}')})
    assert size_of(pixels_of(form)) == (28, 22)


def test_a_crop_by_size_lies_where_gravity_says(stack):
    crop = json.dumps({"width": 10, "height": 10})
    assert pixels_of(transform(stack, trim="{}", crop=crop, gravity="east"))[5][5] == BLUE
    assert pixels_of(transform(stack, trim="{}", crop=crop, gravity="west"))[5][5] == RED
    assert pixels_of(transform(stack, trim="{}", crop=crop, focus='{"x": 0.9, "y": 0}'))[5][5] == BLUE


def test_attention_finds_what_is_coloured(stack):
    picture = pictures.png(120, 40, lambda x, y: RED if 90 <= x < 110 and 10 <= y < 30 else (128, 128, 128))
    rows = pixels_of(transform(stack, picture, width=40, height=40, fit="cover", gravity="attention"))
    assert any(pixel == RED for row in rows for pixel in row)
    centre = pixels_of(transform(stack, picture, width=40, height=40, fit="cover"))
    assert all(pixel == (128, 128, 128) for row in centre for pixel in row)


def test_extend_makes_room(stack):
    rows = pixels_of(transform(stack, trim="{}", extend=json.dumps({"left": 3, "bottom": 2, "background": "#00ff00"})))
    assert size_of(rows) == (23, 12)
    assert rows[0][2] == rows[11][22] == (0, 255, 0) and rows[0][3] == RED


@pytest.mark.parametrize(
    "params, colour",
    [
        ({"brightness": 0.5}, (128, 0, 0)),
        ({"negate": "true"}, (0, 255, 255)),
        ({"saturation": 0}, (54, 54, 54)),
        ({"hue": 120}, (0, 113, 0)),
        ({"contrast": 0}, (128, 128, 128)),
    ],
)
def test_an_effect_gives_the_colour_of_its_formula(stack, params, colour):
    pixel = pixels_of(transform(stack, trim="{}", **params))[5][3]
    assert max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) <= 1


def test_grayscale_has_one_channel_and_a_tint_three(stack):
    assert len(pixels_of(transform(stack, grayscale="true"))[0][0]) == 1
    sepia = pixels_of(transform(stack, grayscale="true", tint="#704214"))
    red, green, blue = sepia[8][8]
    assert red > green > blue and sepia[0][0] == WHITE


def test_a_blurred_border_lies_between_its_sides(stack):
    rows = pixels_of(transform(stack, trim="{}", blur=2))
    assert 60 < rows[5][9][0] < 220 and 60 < rows[5][10][2] < 220
    assert rows[5][0][0] > 240


def test_a_job_gives_what_a_request_gives(stack):
    params = {"trim": "{}", "width": 12, "sharpen": 1, "tint": "#336699", "extend": '{"top": 2, "with": "mirror"}'}
    now = transform(stack, **params)
    headers = {"Content-Type": "image/png", "Prefer": "respond-async, wait=60"}
    job = stack.post(TRANSFORM, params=params, data=FRAMED, headers=headers)
    assert size_of(pixels_of(now)) == (12, 8)
    assert job.status_code == 200 and job.content == now.content
    assert stack.get(job.headers["Location"]).json()["state"] == "succeeded"


@pytest.mark.parametrize(
    "params",
    [
        {"gravity": "up"},
        {"focus": '{"x": 2, "y": 0}'},
        {"focus": '{"x": 0.5}'},
        {"blur": 201},
        {"blur": -1},
        {"sharpen": "much"},
        {"trim": '{"threshold": 256}'},
        {"extend": '{"left": -1}'},
        {"tint": "sepia"},
        {"pixelate": 0},
        {"gamma": 0},
    ],
)
def test_what_no_effect_can_be_is_refused(stack, params):
    problem_of(transform(stack, **params), "invalid-params", 422)


def test_a_result_extended_beyond_the_limits_is_refused_before_decoding(stack):
    cut = FRAMED[:-30]  # decoding would fail
    detail = problem_of(transform(stack, cut, extend='{"left": 16384}'), "invalid-params", 422)["detail"]
    assert "16424x30" in detail and "16384" in detail


def test_a_picture_cut_short_is_refused_by_all_that_look_at_pixels(stack):
    crop = json.dumps({"width": 10, "height": 10})
    for params in ({"trim": "{}"}, {"crop": crop, "gravity": "entropy"}, {"normalise": "true"}, {"sharpen": 1}):
        problem_of(transform(stack, FRAMED[:-30], **params), "invalid-input", 422)


def test_cmyk_and_effects(stack, shared_data):
    path = shared_data / "images" / "Channel_digital_image_CMYK_color_no_profile.jpg"
    if not path.is_file():
        pytest.skip(f"no photographs in {path.parent}")
    plain = pixels_of(transform(stack, path.read_bytes(), "image/jpeg", width=40, format="png"))
    negative = pixels_of(transform(stack, path.read_bytes(), "image/jpeg", width=40, format="png", negate="true"))
    opposite = [[tuple(255 - value for value in pixel) for pixel in row] for row in negative]
    assert pictures.difference(plain, opposite) < 1

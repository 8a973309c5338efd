# SPDX-License-Identifier: BSD-2-Clause
"""image.inspect: metadata as other programs read it, figures as their definitions have them."""

import io
import json
import random
import struct

import figures
import pictures
import pytest
from PIL import Image, IptcImagePlugin
from stack import problem_of

INSPECT = "/v1/tasks/image.inspect"
XMP = """<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>
<rdf:Description rdf:about='' xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:xmp='http://ns.adobe.com/xap/1.0/'
 xmlns:exif='http://ns.adobe.com/exif/1.0/' xmp:Rating='4'>%s</rdf:Description></rdf:RDF></x:xmpmeta>"""


def inspect(stack, picture, include=None, media_type="application/octet-stream", **params):
    if include is not None:
        params["include"] = json.dumps(include)
    answer = stack.post(INSPECT, params=params, data=picture, headers={"Content-Type": media_type})
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def image_of(pixel, width, height):
    image = Image.new("RGB", (width, height))
    image.putdata([pixel(x, y) for y in range(height) for x in range(width)])
    return image


def rows_of(image):
    data = list(image.convert("RGB").getdata())
    return [data[y * image.width : (y + 1) * image.width] for y in range(image.height)]


def noisy(x, y):
    """Neither smooth nor without form: every figure has something to say about it."""
    value = (x * x // 7 + y * 5 + (x * y) % 29) % 256
    return value, (value * 3 + 40 * (y // 16)) % 256, 255 - value


def with_segment(jpeg, marker, content):
    return jpeg[:2] + b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def tiff_block(directories, order="<"):
    """Directories by name, `image`, `photo`, `gps`: entries (tag, format, count, bytes of the value)."""
    pointers = {"photo": 0x8769, "gps": 0x8825}
    at, starts = 8, {}
    image = list(directories["image"])
    for name in directories:
        starts[name] = at
        count = len(directories[name]) + (len(directories) - 1 if name == "image" else 0)
        at += 2 + 12 * count + 4
    image += [(pointers[name], 4, 1, struct.pack(order + "I", starts[name])) for name in directories if name != "image"]
    block, data = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8), b""
    for name, entries in {**directories, "image": image}.items():
        block += struct.pack(order + "H", len(entries))
        for tag, kind, count, value in entries:
            block += struct.pack(order + "HHI", tag, kind, count)
            if len(value) > 4:
                block += struct.pack(order + "I", at + len(data))
                data += value + b"\0" * (len(value) % 2)
            else:
                block += value.ljust(4, b"\0")
        block += b"\0" * 4
    return block + data


def rationals(order, *pairs):
    return b"".join(struct.pack(order + "II", *pair) for pair in pairs)


# ---- metadata


@pytest.mark.parametrize("order", ("<", ">"))
def test_exif_is_what_pillow_reads(stack, order):
    block = tiff_block(
        {
            "image": [(0x010F, 2, 6, b"Canon\0"), (0x0112, 3, 1, struct.pack(order + "H", 6)),
                      (0x9C9D, 1, 8, "Zoë\0".encode("utf-16-le"))],
            "photo": [(0x829A, 5, 1, rationals(order, (1, 200))), (0x829D, 5, 1, rationals(order, (28, 10))),
                      (0x8827, 3, 1, struct.pack(order + "H", 400)), (0x9000, 7, 4, b"0231"),
                      (0x9003, 2, 20, b"2024:01:31 12:00:00\0"), (0x927C, 7, 300, b"x" * 300),
                      (0x9286, 7, 13, b"ASCII\0\0\0hello")],
            "gps": [(0x0000, 1, 4, b"\2\3\0\0"), (0x0001, 2, 2, b"N\0"), (0x0002, 5, 3, rationals(order, (48, 1), (51, 1), (3024, 100))),
                    (0x0003, 2, 2, b"W\0"), (0x0004, 5, 3, rationals(order, (2, 1), (17, 1), (4020, 100))),
                    (0x0005, 1, 1, b"\1"), (0x0006, 5, 1, rationals(order, (35, 1)))],
        },
        order,
    )  # fmt: skip
    image = image_of(pictures.gradient, 16, 16)
    for kind in ("JPEG", "WEBP", "PNG"):
        data = encoded(image, kind, exif=b"Exif\0\0" + block)
        exif = Image.open(io.BytesIO(data)).getexif()
        photo, gps = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
        seen = inspect(stack, data)
        assert seen["metadata_omitted"] == 0
        assert seen["exif"]["image"] == {"Make": exif[0x010F], "Orientation": exif[0x0112], "XPAuthor": "Zoë"}
        assert seen["exif"]["photo"] == {
            "ExposureTime": "1/200", "FNumber": float(photo[0x829D]), "ISOSpeedRatings": photo[0x8827],
            "ExifVersion": photo[0x9000].decode(), "DateTimeOriginal": photo[0x9003], "MakerNote": {"bytes": len(photo[0x927C])},
            "UserComment": "hello",
        }, kind  # fmt: skip
        place = seen["exif"]["gps"]
        assert place["GPSLatitude"] == pytest.approx([float(part) for part in gps[2]])
        assert (place["latitude"], place["longitude"]) == pytest.approx((48.8584, -2.294500))
        assert place["altitude"] == -35 and place["GPSVersionID"] == [2, 3, 0, 0]


def test_a_tiff_gives_its_own_tags(stack):
    seen = inspect(stack, encoded(image_of(pictures.gradient, 20, 10), "TIFF", software="Gangsaw", dpi=(300, 150)))
    tags = seen["exif"]["image"]
    assert (tags["ImageWidth"], tags["ImageLength"], tags["BitsPerSample"]) == (20, 10, [8, 8, 8])
    assert (tags["Software"], tags["XResolution"], tags["YResolution"]) == ("Gangsaw", 300, 150)
    assert seen["dpi"] == {"x": 300, "y": 150}


def test_iptc_is_what_pillow_reads(stack):
    def dataset(record, number, value):
        return bytes([0x1C, record, number]) + struct.pack(">H", len(value)) + value

    data = dataset(1, 90, b"\x1b%G") + dataset(2, 5, "Häfen".encode()) + dataset(2, 25, b"sea") + dataset(2, 25, b"ship")
    resources = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(data)) + data + b"\0" * (len(data) % 2)
    jpeg = with_segment(encoded(image_of(pictures.gradient, 16, 16), "JPEG"), 0xED, b"Photoshop 3.0\0" + resources)
    read = IptcImagePlugin.getiptcinfo(Image.open(io.BytesIO(jpeg)))
    seen = inspect(stack, jpeg)["iptc"]
    assert seen == {"CharacterSet": "UTF-8", "ObjectName": read[2, 5].decode(), "Keywords": [word.decode() for word in read[2, 25]]}


def test_xmp_is_found_in_every_format_that_has_it(stack):
    packet = (XMP % "<dc:subject><rdf:Bag><rdf:li>sea</rdf:li><rdf:li>ship</rdf:li></rdf:Bag></dc:subject>"
              "<exif:Flash exif:Fired='True' exif:Mode='1'/>").encode()  # fmt: skip
    image = image_of(pictures.gradient, 16, 16)
    text = b"XML:com.adobe.xmp\0\0\0\0\0" + packet
    png = encoded(image, "PNG")
    found = {
        "jpeg": with_segment(encoded(image, "JPEG"), 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet),
        "webp": encoded(image, "WEBP", xmp=packet),
        "png": png[:33] + pictures._chunk(b"iTXt", text) + png[33:],
        "tiff": encoded(image, "TIFF", tiffinfo={700: packet}),
    }
    for kind, data in found.items():
        seen = inspect(stack, data, ["xmp"])
        assert seen["format"] == kind and seen["xmp"] == {
            "xmp:Rating": "4", "dc:subject": ["sea", "ship"], "exif:Flash": {"exif:Fired": "True", "exif:Mode": "1"},
        }  # fmt: skip


def test_the_colour_profile_is_named(stack, shared_data):
    photo = (shared_data / "images" / "Landscape_6.jpg").read_bytes()
    seen = inspect(stack, photo)["icc"]
    profile = Image.open(io.BytesIO(photo)).info["icc_profile"]
    assert seen == {"name": "Generic RGB Profile", "colour_space": "RGB", "version": "2.2", "bytes": len(profile)}


def test_an_animation_tells_its_delays(stack):
    frames = [image_of(lambda x, y, n=n: (n * 60, x * 9, y * 9), 20, 20) for n in range(3)]
    for kind, options in (("GIF", {}), ("WEBP", {"lossless": True})):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=[100, 250, 40], loop=2, **options)
        seen = inspect(stack, data, [])
        assert (seen["pages"], seen["animation"]) == (3, {"delays_ms": [100, 250, 40], "loop": seen["animation"]["loop"]}), kind


HEADERS = {
    "1": ("PNG", {"colour_space": "grey", "channels": 1, "bits_per_sample": 1}),
    "L": ("JPEG", {"colour_space": "grey", "channels": 1, "bits_per_sample": 8}),
    "LA": ("PNG", {"colour_space": "grey", "channels": 2, "bits_per_sample": 8, "alpha": True}),
    "I;16": ("PNG", {"colour_space": "grey", "channels": 1, "bits_per_sample": 16}),
    "RGB": ("JPEG", {"colour_space": "rgb", "channels": 3, "bits_per_sample": 8, "alpha": False}),
    "RGBA": ("WEBP", {"colour_space": "rgb", "channels": 4, "bits_per_sample": 8, "alpha": True}),
    "CMYK": ("JPEG", {"colour_space": "cmyk", "channels": 4, "bits_per_sample": 8, "alpha": False}),
}


@pytest.mark.parametrize("mode", HEADERS)
def test_the_header_says_how_pixels_are_stored(stack, mode):
    kind, expected = HEADERS[mode]
    seen = inspect(stack, encoded(Image.new(mode, (8, 8)), kind), [])
    assert {name: seen[name] for name in expected} == expected
    assert seen["is_progressive"] is False


def test_a_progressive_jpeg_says_so(stack):
    assert inspect(stack, encoded(image_of(noisy, 64, 64), "JPEG", progressive=True), [])["is_progressive"] is True


def test_nothing_is_told_that_was_not_asked_for(stack):
    data = encoded(image_of(noisy, 16, 16), "JPEG", exif=b"Exif\0\0" + tiff_block({"image": [(0x010F, 2, 6, b"Canon\0")]}))
    header = {"format", "width", "height", "pages", "alpha", "orientation", "colour_space", "channels", "bits_per_sample",
              "is_progressive", "sha256"}  # fmt: skip
    assert set(inspect(stack, data, [])) == header
    assert set(inspect(stack, data)) == header | {"exif", "metadata_omitted"}
    assert set(inspect(stack, data, ["entropy"])) == header | {"entropy"}


# ---- metadata of strangers


def hostile_blocks():
    loop = b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x8769, 4, 1, 8) + struct.pack("<I", 8)
    count = b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x010F, 2, 0xFFFFFFFF, 8)
    entries = b"".join(struct.pack("<HHII", 0x4000 + i, 7, 40000, 10) for i in range(4000))
    yield "exif", "a directory that points to itself", 0xE1, b"Exif\0\0" + loop
    yield "exif", "a text of 4 GB", 0xE1, b"Exif\0\0" + count
    yield "exif", "160 MB in 48 KB", 0xE1, b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 4000) + entries
    packet = {
        "deep": XMP % ("<dc:x rdf:parseType='Resource'>" * 1500),
        "wide": XMP % ("<dc:x/>" * 9000),
        "entities": "<!DOCTYPE a [<!ENTITY b 'bbbbbbbb'>]>" + XMP % "<dc:x>&b;</dc:x>",
    }
    for name, text in packet.items():
        yield "xmp", name, 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + text.encode()
    yield "iptc", "13000 datasets", 0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", 65000) + b"\x1c\x02\x19\0\0" * 13000


@pytest.mark.parametrize("kind, name, marker, content", hostile_blocks(), ids=lambda value: value if isinstance(value, str) else "")
def test_hostile_metadata_is_left_out_and_counted(stack, kind, name, marker, content):
    jpeg = with_segment(encoded(image_of(noisy, 32, 32), "JPEG"), marker, content)
    before = stack.pool()["exits"]["executors"]["failed"]
    seen = inspect(stack, jpeg)
    assert seen["metadata_omitted"] > 0 or name == "a directory that points to itself"
    assert len(json.dumps(seen)) < 100_000
    assert stack.pool()["exits"]["executors"]["failed"] == before


def test_metadata_stays_within_the_configured_limits(start_stack):
    own = start_stack(config="[task image.inspect]\nmax_metadata_members = 2\n")
    block = tiff_block({"image": [(tag, 2, 4, b"abc\0") for tag in (0x010E, 0x010F, 0x0110, 0x0131)]})
    seen = inspect(own, encoded(image_of(noisy, 16, 16), "JPEG", exif=b"Exif\0\0" + block))
    assert seen["exif"] == {"image": {"ImageDescription": "abc", "Make": "abc"}} and seen["metadata_omitted"] == 2


# ---- figures


@pytest.mark.parametrize("width, height, across, down", [(48, 32, 4, 3), (31, 47, 9, 9), (20, 20, 1, 1), (3, 2, 5, 2)])
def test_blurhash_is_as_its_project_defines_it(stack, width, height, across, down):
    image = image_of(noisy, width, height)
    seen = inspect(stack, encoded(image, "PNG"), ["blurhash"], blurhash_x=across, blurhash_y=down)
    assert seen["blurhash"] == figures.blurhash(rows_of(image), across, down)


def smooth(x, y):
    return (x * 2 + y) % 256, 255 - (x * x // 90) % 256, abs(128 - y * 2) % 256


def test_blurhash_of_a_large_picture_is_nearly_that_of_all_pixels(stack):
    """A miniature stands for it; each component is right within a step."""
    image = image_of(smooth, 100, 75).resize((300, 225), Image.BICUBIC)
    seen = inspect(stack, encoded(image, "PNG"), ["blurhash"])["blurhash"]
    expected = figures.blurhash(rows_of(image), 4, 3)
    digits = [[figures.BASE_83.index(letter) for letter in text] for text in (seen, expected)]
    assert seen[0] == expected[0] and abs(digits[0][1] - digits[1][1]) <= 1
    pairs = [[(line[i] * 83 + line[i + 1]) for i in range(6, 28, 2)] for line in digits]
    for some, other in zip(*pairs, strict=True):
        assert all(abs(some // step % 19 - other // step % 19) <= 1 for step in (361, 19, 1)), (seen, expected)


def test_hashes_are_as_they_are_defined(stack):
    for size in ((64, 64), (100, 37), (20, 90)):
        image = image_of(noisy, *size)
        seen = inspect(stack, encoded(image, "PNG"), ["perceptual_hash"])
        assert (seen["phash"], seen["dhash"]) == (figures.phash(rows_of(image)), figures.dhash(rows_of(image)))


def test_a_picture_of_one_colour_has_no_frequencies(stack):
    for colour in ((0, 0, 0), (255, 255, 255), (12, 200, 99)):
        seen = inspect(stack, encoded(Image.new("RGB", (333, 77), colour), "PNG"), ["perceptual_hash"])
        assert (seen["phash"], seen["dhash"]) == ("0" * 16, "0" * 16)


def distance(some, other):
    return bin(int(some, 16) ^ int(other, 16)).count("1")


def test_the_perceptual_hash_stands_scaling_and_compression(stack, shared_data):
    hashes = []
    for name in ("2569067123_aca715a2ee_o.jpg", "320x240.jpg", "concert.jpg", "4.webp"):
        image = Image.open(shared_data / "images" / name).convert("RGB")
        image.thumbnail((800, 800))
        original = inspect(stack, encoded(image, "PNG"), ["perceptual_hash"])["phash"]
        half = image.resize((image.width // 2, image.height // 2), Image.LANCZOS)
        for copy in (encoded(half, "PNG"), encoded(image, "JPEG", quality=35), encoded(half, "WEBP", quality=40)):
            assert distance(inspect(stack, copy, ["perceptual_hash"])["phash"], original) <= 6, name
        hashes.append(original)
    assert min(distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]) >= 16


@pytest.mark.parametrize("orientation", range(2, 9))
def test_hashes_and_blurhash_are_of_the_upright_picture(stack, orientation):
    upright = image_of(noisy, 96, 60).convert("RGB")
    lying = {2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}[orientation]  # Image.transpose()'s, undone
    turned = upright
    for step in lying:
        turned = turned.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    names = ["perceptual_hash", "blurhash"]
    some = inspect(stack, encoded(upright, "PNG"), names)
    other = inspect(stack, encoded(turned, "WEBP", lossless=True, exif=exif), names)
    assert other["orientation"] == orientation
    assert all(some[name] == other[name] for name in ("phash", "dhash", "blurhash"))


def test_a_hash_does_not_depend_on_what_else_is_asked_for(stack, shared_data):
    photo = (shared_data / "images" / "2569067123_aca715a2ee_o.jpg").read_bytes()
    alone = inspect(stack, photo, ["perceptual_hash"])
    both = inspect(stack, photo, ["perceptual_hash", "entropy", "palette", "blurhash", "histogram"])
    assert alone["phash"] == both["phash"] and alone["dhash"] == both["dhash"]


def test_entropy_sharpness_and_histogram_count_every_pixel(stack):
    image = image_of(noisy, 90, 70)
    seen = inspect(stack, encoded(image, "PNG"), ["entropy", "sharpness", "histogram", "is_opaque"])
    counts = image.histogram()
    assert seen["histogram"] == {
        "red": counts[:256], "green": counts[256:512], "blue": counts[512:], "luma": image.convert("L").histogram(),
    }  # fmt: skip
    assert seen["entropy"] == pytest.approx(image.convert("L").entropy(), abs=1e-9)
    assert seen["entropy"] == pytest.approx(figures.entropy(rows_of(image)), abs=1e-9)
    assert seen["sharpness"] == pytest.approx(figures.sharpness(rows_of(image)), rel=1e-9)
    assert seen["is_opaque"] is True


def test_a_blurred_picture_is_less_sharp(stack, shared_data):
    image = Image.open(shared_data / "images" / "concert.jpg")
    small = image.resize((image.width // 4, image.height // 4))
    blurred = small.resize(image.size, Image.BICUBIC)
    sharp, soft = (inspect(stack, encoded(each, "PNG"), ["sharpness"])["sharpness"] for each in (image, blurred))
    assert soft < sharp / 4


def test_opaque_means_no_pixel_is_transparent(stack):
    image = Image.new("RGBA", (70, 50), (1, 2, 3, 255))
    assert inspect(stack, encoded(image, "PNG"), ["is_opaque"])["is_opaque"] is True
    image.putpixel((69, 49), (1, 2, 3, 254))
    seen = inspect(stack, encoded(image, "PNG"), ["is_opaque", "histogram"])
    assert seen["is_opaque"] is False and seen["histogram"]["alpha"][254] == 1
    assert inspect(stack, encoded(image.convert("RGB"), "PNG"), ["is_opaque"])["is_opaque"] is True


def test_the_palette_has_the_colours_by_their_share(stack):
    stripes = [((200, 30, 40), 50), ((20, 60, 220), 30), ((240, 230, 90), 20)]
    image = Image.new("RGB", (100, 60))
    left = 0
    for colour, width in stripes:
        image.paste(colour, (left, 0, left + width, 60))
        left += width
    seen = inspect(stack, encoded(image, "PNG"), ["palette"])
    expected = [{"colour": "#%02x%02x%02x" % colour, "share": share / 100} for colour, share in stripes]
    assert seen["palette"] == expected and seen["dominant_colour"] == "#c81e28"
    two = inspect(stack, encoded(image, "PNG"), ["palette"], colours=2)["palette"]
    assert len(two) == 2 and sum(each["share"] for each in two) == pytest.approx(1)


def test_transparent_pixels_have_no_part_in_the_palette(stack):
    image = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    assert inspect(stack, encoded(image, "PNG"), ["palette"])["palette"] == []
    image.paste((0, 128, 0, 255), (0, 0, 10, 10))
    assert inspect(stack, encoded(image, "PNG"), ["palette"])["palette"] == [{"colour": "#008000", "share": 1}]


def test_pixels_are_within_the_limit_before_they_are_decoded(stack):
    huge = pictures.png(1, 1, claim=(60000, 60000))
    assert inspect(stack, huge)["width"] == 60000
    for name in ("palette", "blurhash", "perceptual_hash", "entropy", "sharpness", "histogram"):
        answer = stack.post(INSPECT, params={"include": json.dumps([name])}, data=huge, headers={"Content-Type": "image/png"})
        assert "max_megapixels is 71" in problem_of(answer, "invalid-input", 422)["detail"]


def test_half_a_picture_has_no_figures(stack):
    for kind in ("JPEG", "PNG", "WEBP"):
        data = encoded(image_of(noisy, 200, 200), kind)
        for name in ("palette", "sharpness"):
            answer = stack.post(INSPECT, params={"include": json.dumps([name])}, data=data[: len(data) // 2],
                                headers={"Content-Type": "application/octet-stream"})  # fmt: skip
            problem_of(answer, "invalid-input", 422)


def test_a_job_says_the_same(stack):
    image = encoded(image_of(noisy, 64, 64), "PNG")
    names = ["palette", "blurhash", "perceptual_hash", "entropy", "sharpness", "is_opaque"]
    answer = stack.post(INSPECT, params={"include": json.dumps(names)}, data=image,
                        headers={"Content-Type": "image/png", "Prefer": "respond-async"})  # fmt: skip
    assert answer.status_code == 202
    job = stack.wait_for_job(answer.json()["id"])
    assert job["state"] == "succeeded"
    result = stack.get(f"/v1/jobs/{job['id']}/result", headers={"Accept": "application/json"}).json()["result"]
    assert result == inspect(stack, image, names)


def test_random_blocks_in_the_place_of_metadata_are_survived(stack):
    rest = encoded(image_of(noisy, 16, 16), "JPEG")
    chance = random.Random(5)
    for start, marker in ((b"Exif\0\0II*\0\x08\0\0\0", 0xE1), (b"Photoshop 3.0\x008BIM\x04\x04\0\0", 0xED), (b"ICC_PROFILE\0\1\1", 0xE2)):
        for _ in range(8):
            inspect(stack, with_segment(rest, marker, start + chance.randbytes(chance.randrange(3000))))

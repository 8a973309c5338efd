# SPDX-License-Identifier: BSD-2-Clause
"""Pictures for tests, written and read byte by byte: what the server says about a picture is
compared with what stands in it."""

import struct
import zlib

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def _chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, pixel=lambda x, y: RED, claim=None, colour_type=2):
    """A PNG with 8 bits per channel; `pixel` gives the channels. `claim` stands in the header as
    its size, whatever it is."""
    rows = (b"".join(bytes(pixel(x, y)) for x in range(width)) for y in range(height))
    header = struct.pack(">IIBBBBB", *(claim or (width, height)), 8, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def webp_of_frames(count):
    """An animation of one red pixel, as often as that."""

    def chunk(name, data):
        return name + struct.pack("<I", len(data)) + data

    pixel = chunk(b"VP8L", bytes.fromhex("2f000000000710fd8ffe0722a2ff0100"))
    start = chunk(b"VP8X", b"\2" + bytes(9)) + chunk(b"ANIM", bytes(6))
    return chunk(b"RIFF", b"WEBP" + start + chunk(b"ANMF", bytes(16) + pixel) * count)


def gradient(x, y):
    """Different in every pixel of a picture of up to 128 x 128."""
    return (2 * x, 2 * y, (x * 7 + y * 13) % 256)


def with_orientation(jpeg, orientation):
    """A JPEG with an EXIF segment of just the orientation."""
    tiff = b"MM\0*\0\0\0\x08" + b"\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0) + b"\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def _jpeg_size(data):
    at = 2
    while data[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    height, width = struct.unpack_from(">HH", data, at + 5)
    return width, height


def _webp_size(data):
    kind = data[12:16]
    if kind == b"VP8 ":
        return tuple(side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    assert kind == b"VP8X"
    return tuple(int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))


def look(data):
    """Format, width and height, from the bytes."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png", *struct.unpack_from(">II", data, 16)
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg", *_jpeg_size(data)
    assert data[:4] == b"RIFF" and data[8:12] == b"WEBP", data[:16]
    assert struct.unpack_from("<I", data, 4)[0] == len(data) - 8, "a WebP cut short"
    return "webp", *_webp_size(data)


def _paeth(left, above, corner):
    estimate = left + above - corner
    distances = [abs(estimate - each) for each in (left, above, corner)]
    return (left, above, corner)[distances.index(min(distances))]


def _unfilter(kind, row, above, step):
    for i, value in enumerate(row):
        left = row[i - step] if i >= step else 0
        corner = above[i - step] if i >= step else 0
        add = (0, left, above[i], (left + above[i]) // 2, _paeth(left, above[i], corner))[kind]
        row[i] = (value + add) & 255


def read_png(data):
    """Rows of pixels, each a tuple of its channels, of a PNG with 8 bits per channel."""
    _, width, height = look(data)
    depth, colour_type = data[24], data[25]
    assert depth == 8 and data[28] == 0, "neither 16 bits nor interlaced"
    step = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    packed, at = b"", 8
    while data[at + 4 : at + 8] != b"IEND":
        size = struct.unpack_from(">I", data, at)[0]
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + size]
        at += 12 + size
    raw = zlib.decompress(packed)
    rows, above = [], bytearray(width * step)
    for y in range(height):
        at = y * (1 + width * step)
        row = bytearray(raw[at + 1 : at + 1 + width * step])
        _unfilter(raw[at], row, above, step)
        rows.append([tuple(row[x : x + step]) for x in range(0, width * step, step)])
        above = row
    return rows


def difference(some, others):
    """Mean absolute difference of two pictures' channels, as read_png() gives them."""
    pairs = [(a, b) for s, o in zip(some, others, strict=True) for p, q in zip(s, o, strict=True) for a, b in zip(p, q, strict=True)]
    return sum(abs(a - b) for a, b in pairs) / len(pairs)

# SPDX-License-Identifier: BSD-2-Clause
"""Figures of pictures, computed a second time as their definitions are written, without haste: the referees of
image.inspect and image.compare. Pictures are rows of (red, green, blue)."""

import math

BASE_83 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"


def luma(rows):
    """ITU-R BT.601, rounded as Pillow's convert("L") does it."""
    return [[(19595 * r + 38470 * g + 7471 * b + 32768) >> 16 for r, g, b in row] for row in rows]


def linear(value):
    value /= 255
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def srgb(value):
    value = min(max(value, 0), 1)
    return int((value * 12.92 if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055) * 255 + 0.5)


def base_83(value, digits):
    return "".join(BASE_83[value // 83 ** (digits - 1 - i) % 83] for i in range(digits))


def blurhash(rows, across, down):
    """Algorithm.md of github.com/woltapp/blurhash."""
    height, width = len(rows), len(rows[0])
    light = [[tuple(map(linear, pixel)) for pixel in row] for row in rows]
    factors = []
    for j in range(down):
        for i in range(across):
            sums = [0.0, 0.0, 0.0]
            for y in range(height):
                for x in range(width):
                    basis = math.cos(math.pi * i * x / width) * math.cos(math.pi * j * y / height)
                    for k in range(3):
                        sums[k] += basis * light[y][x][k]
            factors.append([total * (2 if i or j else 1) / (width * height) for total in sums])
    text = base_83(across - 1 + (down - 1) * 9, 1)
    scale, largest = 0, 1
    if len(factors) > 1:
        scale = max(0, min(82, math.floor(max(abs(value) for factor in factors[1:] for value in factor) * 166 - 0.5)))
        largest = (scale + 1) / 166
    text += base_83(scale, 1)
    text += base_83(sum(srgb(value) << shift for value, shift in zip(factors[0], (16, 8, 0), strict=True)), 4)
    for factor in factors[1:]:
        r, g, b = (max(0, min(18, math.floor(math.copysign(math.sqrt(abs(v / largest)), v) * 9 + 9.5))) for v in factor)
        text += base_83((r * 19 + g) * 19 + b, 2)
    return text


def stretched(rows, width, height):
    """Means of areas, of a picture of floats."""

    def line(values, count):
        fields = []
        for i in range(count):
            start, end = i * len(values) / count, (i + 1) * len(values) / count
            parts = [(max(0, min(k + 1, end) - max(k, start)), value) for k, value in enumerate(values)]
            fields.append(sum(share * value for share, value in parts) / (end - start))
        return fields

    narrow = [line(row, width) for row in rows]
    columns = [line([row[x] for row in narrow], height) for x in range(width)]
    return [[columns[x][y] for x in range(width)] for y in range(height)]


def _grey(rows):
    return [[0.299 * r + 0.587 * g + 0.114 * b for r, g, b in row] for row in rows]


def _hexadecimal(bits):
    return f"{int(''.join('1' if bit else '0' for bit in bits), 2):016x}"


def phash(rows):
    fields = stretched(_grey(rows), 32, 32)

    def coefficient(u, v):
        return sum(
            fields[y][x] * math.cos((2 * x + 1) * u * math.pi / 64) * math.cos((2 * y + 1) * v * math.pi / 64)
            for y in range(32)
            for x in range(32)
        )

    values = [coefficient(u, v) for v in range(1, 9) for u in range(1, 9)]
    middle = sorted(values)[31:33]
    return _hexadecimal(value > sum(middle) / 2 for value in values)


def dhash(rows):
    fields = stretched(_grey(rows), 9, 8)
    return _hexadecimal(row[x + 1] > row[x] for row in fields for x in range(8))


def entropy(rows):
    values = [value for row in luma(rows) for value in row]
    counts = [values.count(value) / len(values) for value in set(values)]
    return -sum(share * math.log2(share) for share in counts)


def sharpness(rows):
    grey = luma(rows)
    values = [
        grey[y - 1][x] + grey[y + 1][x] + grey[y][x - 1] + grey[y][x + 1] - 4 * grey[y][x]
        for y in range(1, len(grey) - 1)
        for x in range(1, len(grey[0]) - 1)
    ]
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / len(values)


def mean_squared_error(some, others):
    pairs = [(a, b) for row, other in zip(some, others, strict=True) for p, q in zip(row, other, strict=True) for a, b in zip(p, q, strict=True)]
    return sum((a - b) ** 2 for a, b in pairs) / len(pairs)


def ssim(some, others):
    """Wang, Bovik, Sheikh and Simoncelli, 2004; every window by itself."""
    a, b = luma(some), luma(others)
    weights = [[math.exp(-(x * x + y * y) / 4.5) for x in range(-5, 6)] for y in range(-5, 6)]
    total = sum(map(sum, weights))
    window = [(x, y, weights[y][x] / total) for y in range(11) for x in range(11)]
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for top in range(len(a) - 10):
        for left in range(len(a[0]) - 10):
            pixels = [(w, a[top + y][left + x], b[top + y][left + x]) for x, y, w in window]
            mean_a, mean_b = (sum(p[0] * p[i] for p in pixels) for i in (1, 2))
            variance_a, variance_b = (sum(p[0] * (p[i] - m) ** 2 for p in pixels) for i, m in ((1, mean_a), (2, mean_b)))
            covariance = sum(w * (p - mean_a) * (q - mean_b) for w, p, q in pixels)
            values.append(
                (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
                / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2))
            )  # fmt: skip
    return sum(values) / len(values)

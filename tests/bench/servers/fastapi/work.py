# SPDX-License-Identifier: BSD-2-Clause
"""What every arrangement computes; only where it is computed differs.

SUM_SQUARES names the shared object made of sum_squares.c. ctypes gives up the interpreter's lock during a
call, Pillow and `cryptography` during the long ones of theirs: threads gain by that, as they would for a user.
"""

import ctypes
import io
import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from PIL import Image, ImageOps

CORES = len(os.sched_getaffinity(0))

library = ctypes.CDLL(os.environ["SUM_SQUARES"])
library.sum_squares.argtypes = [ctypes.c_uint64]
library.sum_squares.restype = ctypes.c_double

cipher = AESGCM(bytes.fromhex(os.environ["CIPHER_KEY"]))


def nothing():
    pass


def squares_native(n):
    return sum(i * i for i in range(n))


def squares_c(n):
    return library.sum_squares(n)


SQUARES = {"native": squares_native, "c": squares_c}


def thumbnail(picture):
    """400 pixels at most. `draft` makes the JPEG's decoder shrink as far as it can: thumbnail() alone would have it
    shrink half as far, for a better picture at nearly twice the time."""
    image = Image.open(io.BytesIO(picture))
    image.draft("RGB", (400, 400))
    image.thumbnail((400, 400), Image.Resampling.LANCZOS)
    image = ImageOps.exif_transpose(image)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80)
    return out.getvalue()


def encrypt(plain):
    """Nonce, ciphertext, tag."""
    nonce = os.urandom(12)
    return nonce + cipher.encrypt(nonce, plain, None)

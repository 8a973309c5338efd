# SPDX-License-Identifier: BSD-2-Clause
"""How many terms of the sum of squares take a core so long, alone: the same loop in C for every contender."""

import ctypes
import functools
import time

from servers.shared import sum_squares

TRIES = 7


@functools.lru_cache(maxsize=None)
def terms_a_second():
    """Of processor time, at the best of some tries: whatever else the machine does can only make one slower."""
    library = ctypes.CDLL(str(sum_squares()))
    library.sum_squares.argtypes = [ctypes.c_uint64]
    library.sum_squares.restype = ctypes.c_double
    n = 20_000_000

    def seconds():
        begin = time.thread_time()
        library.sum_squares(n)
        return time.thread_time() - begin

    return n / min(seconds() for _ in range(TRIES))


def terms(milliseconds):
    return round(terms_a_second() * milliseconds / 1e3)

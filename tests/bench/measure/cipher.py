# SPDX-License-Identifier: BSD-2-Clause
"""A mebibyte sent, and sent back encrypted: where moving bytes costs more than the work."""

import os

from harness.closed import Load, measure, table
from harness.measurement import Plot, Result
from servers.shared import KEY

NAME = "cipher"
TITLE = "AES-256-GCM of 1 MiB"
SECONDS = 2.0
CONTENDERS = ["gangsaw", "fastapi-inline", "fastapi-threads", "fastapi-processes", "fastapi-celery", "php-fpm"]

SIZE = 1 << 20
NONCE, TAG = 12, 16
METHOD = (
    "1 MiB goes in as the request's body and comes back as nonce, ciphertext and tag; OpenSSL computes in all of them. Closed loops (wrk) of "
    "{clients} clients, {seconds:g} s, {rounds} rounds in turn."
)  # fmt: skip


def check(load, data):
    """Whether the answer decrypts to what was sent; without `cryptography` its length has to do."""
    answer = load.request.answer(load.contender.port)
    assert len(answer) == NONCE + len(data) + TAG, f"{load.title}: {len(answer)} bytes"
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        return
    assert AESGCM(bytes.fromhex(KEY)).decrypt(answer[:NONCE], answer[NONCE:], None) == data, load.title


def run(options, bench):
    names = bench.available(options.wanted(CONTENDERS))
    data, clients = os.urandom(SIZE), 4 * bench.cores
    loads = []
    for name in names:
        contender = bench.contender(name)
        loads.append(Load(name, contender.title, contender, contender.request("encrypt", data=data), clients))
        check(loads[-1], data)
    return Result(
        NAME, TITLE, "What does it cost to bring many bytes to where they are computed with, and back?",
        METHOD.format(clients=clients, seconds=options.seconds, rounds=options.rounds),
        [table("1 MiB encrypted", loads, measure(loads, options))], [Plot("cipher", "1 MiB encrypted", 0, "rate")],
    )  # fmt: skip

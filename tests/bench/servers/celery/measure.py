# SPDX-License-Identifier: BSD-2-Clause
"""measure.py rate|latency JOBS: prints one JSON object. The worker runs already."""

import json
import sys
import time

from tasks import app, sum_squares

mode, count = sys.argv[1], int(sys.argv[2])


def rate():
    begin = time.time()
    with app.producer_pool.acquire(block=True) as producer:
        results = [sum_squares.apply_async((1,), producer=producer) for _ in range(count)]
    enqueued = time.time()
    for each in results:
        each.get(timeout=120, interval=0.01)
    return {"enqueue_s": enqueued - begin, "total_s": time.time() - begin}


def latency():
    ms = []
    for _ in range(count):
        begin = time.time()
        ms.append((sum_squares.delay(1).get(timeout=30)["started"] - begin) * 1e3)
        time.sleep(0.01)
    return {"ms": ms}


for each in [sum_squares.delay(1) for _ in range(50)]:
    each.get(timeout=30)
print(json.dumps(rate() if mode == "rate" else latency()))

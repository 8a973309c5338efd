# SPDX-License-Identifier: BSD-2-Clause
"""The sum of squares as FastAPI's guide has CPU-bound work done: a pool of processes, one a core."""

import asyncio
import concurrent.futures
import ctypes
import os

from fastapi import FastAPI
from pydantic import BaseModel

library = ctypes.CDLL(os.environ["SUM_SQUARES"])
library.sum_squares.argtypes = [ctypes.c_uint64]
library.sum_squares.restype = ctypes.c_double
pool = concurrent.futures.ProcessPoolExecutor(len(os.sched_getaffinity(0)))
app = FastAPI()


class Params(BaseModel):
    n: int


def compute(n):
    return library.sum_squares(n)


@app.get("/livez")
async def livez():
    return {"status": "ok"}


@app.post("/sum_squares")
async def sum_squares(params: Params):
    return {"sum": await asyncio.get_running_loop().run_in_executor(pool, compute, params.n)}

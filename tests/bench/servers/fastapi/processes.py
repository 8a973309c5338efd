# SPDX-License-Identifier: BSD-2-Clause
"""Computed in a ProcessPoolExecutor, which the event loop awaits: what asyncio's guide recommends for work that
keeps a core busy. POOL is the number of its processes; empty: the default, one a core of each uvicorn worker."""

import asyncio
import concurrent.futures
import os

import asyncpg
import work
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

app = FastAPI()


class Params(BaseModel):
    n: int


@app.on_event("startup")
async def start():
    app.state.pool = concurrent.futures.ProcessPoolExecutor(int(os.environ["POOL"]) if os.environ.get("POOL") else None)
    app.state.pool.submit(work.nothing)  # now they are forked: later they would keep connections of clients open
    url = os.environ.get("DATABASE_URL")
    app.state.database = await asyncpg.create_pool(url) if url else None


def compute(function, *arguments):
    return asyncio.get_running_loop().run_in_executor(app.state.pool, function, *arguments)


@app.get("/empty")
async def empty():
    return {}


@app.get("/through")
async def through():
    await compute(work.nothing)
    return {}


@app.post("/squares/{way}")
async def squares(way: str, params: Params):
    return {"sum": await compute(work.SQUARES[way], params.n)}


@app.post("/thumbnail")
async def thumbnail(request: Request):
    return Response(await compute(work.thumbnail, await request.body()), media_type="image/jpeg")


@app.post("/encrypt")
async def encrypt(request: Request):
    return Response(await compute(work.encrypt, await request.body()), media_type="application/octet-stream")


@app.post("/stored")
async def stored(params: Params):
    sum = await compute(work.squares_c, params.n)
    row = await app.state.database.fetchval("INSERT INTO result (sum) VALUES ($1) RETURNING id", sum)
    return {"id": row, "sum": sum}

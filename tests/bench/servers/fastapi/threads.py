# SPDX-License-Identifier: BSD-2-Clause
"""Computed in a plain `def`, which FastAPI runs in its pool of 40 threads: what its guide recommends for code
that blocks. Bodies are read by an `async def` dependency, since only that can."""

import contextlib
import os

import psycopg2.pool
import work
from fastapi import Depends, FastAPI, Request, Response
from pydantic import BaseModel

THREADS = 40  # of anyio's, and so FastAPI's, pool
app = FastAPI()


class Params(BaseModel):
    n: int


async def body(request: Request):
    return await request.body()


@app.on_event("startup")
def start():
    url = os.environ.get("DATABASE_URL")
    app.state.database = psycopg2.pool.ThreadedConnectionPool(1, THREADS, url) if url else None


@contextlib.contextmanager
def connection():
    """One of the pool's; committed at the end."""
    one = app.state.database.getconn()
    try:
        with one:
            yield one
    finally:
        app.state.database.putconn(one)


@app.get("/empty")
def empty():
    return {}


@app.get("/through")
def through():
    work.nothing()
    return {}


@app.post("/squares/{way}")
def squares(way: str, params: Params):
    return {"sum": work.SQUARES[way](params.n)}


@app.post("/thumbnail")
def thumbnail(picture: bytes = Depends(body)):
    return Response(work.thumbnail(picture), media_type="image/jpeg")


@app.post("/encrypt")
def encrypt(plain: bytes = Depends(body)):
    return Response(work.encrypt(plain), media_type="application/octet-stream")


@app.post("/stored")
def stored(params: Params):
    sum = work.squares_c(params.n)
    with connection() as database, database.cursor() as cursor:
        cursor.execute("INSERT INTO result (sum) VALUES (%s) RETURNING id", (sum,))
        return {"id": cursor.fetchone()[0], "sum": sum}

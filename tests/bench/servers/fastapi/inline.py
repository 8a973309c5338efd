# SPDX-License-Identifier: BSD-2-Clause
"""Computed in the handler, `async def`: the shape that FastAPI's tutorial begins with."""

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
    url = os.environ.get("DATABASE_URL")
    app.state.database = await asyncpg.create_pool(url) if url else None


@app.get("/empty")
async def empty():
    return {}


@app.get("/through")
async def through():
    work.nothing()
    return {}


@app.post("/squares/{way}")
async def squares(way: str, params: Params):
    return {"sum": work.SQUARES[way](params.n)}


@app.post("/thumbnail")
async def thumbnail(request: Request):
    return Response(work.thumbnail(await request.body()), media_type="image/jpeg")


@app.post("/encrypt")
async def encrypt(request: Request):
    return Response(work.encrypt(await request.body()), media_type="application/octet-stream")


@app.post("/stored")
async def stored(params: Params):
    sum = work.squares_c(params.n)
    row = await app.state.database.fetchval("INSERT INTO result (sum) VALUES ($1) RETURNING id", sum)
    return {"id": row, "sum": sum}

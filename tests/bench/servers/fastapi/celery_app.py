# SPDX-License-Identifier: BSD-2-Clause
"""Computed by Celery: the handler enqueues and awaits the result, looking for it without blocking the loop."""

import asyncio
import os

import asyncpg
import celery_tasks
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

app = FastAPI()


class Params(BaseModel):
    n: int


@app.on_event("startup")
async def start():
    url = os.environ.get("DATABASE_URL")
    app.state.database = await asyncpg.create_pool(url) if url else None


async def compute(task, *arguments):
    result = task.delay(*arguments)
    while not result.ready():
        await asyncio.sleep(0.005)
    value = result.get()
    result.forget()
    return value


@app.get("/empty")
async def empty():
    return {}


@app.get("/through")
async def through():
    await compute(celery_tasks.nothing)
    return {}


@app.post("/squares/{way}")
async def squares(way: str, params: Params):
    return {"sum": await compute(celery_tasks.squares, way, params.n)}


@app.post("/thumbnail")
async def thumbnail(request: Request):
    return Response(await compute(celery_tasks.thumbnail, await request.body()), media_type="image/jpeg")


@app.post("/encrypt")
async def encrypt(request: Request):
    return Response(await compute(celery_tasks.encrypt, await request.body()), media_type="application/octet-stream")


@app.post("/stored")
async def stored(params: Params):
    sum = await compute(celery_tasks.squares, "c", params.n)
    row = await app.state.database.fetchval("INSERT INTO result (sum) VALUES ($1) RETURNING id", sum)
    return {"id": row, "sum": sum}

# SPDX-License-Identifier: BSD-2-Clause
"""A database with the schema.

GANGSAW_TEST_DATABASE is the url of any database on a server where others may be made; each module of
tests makes one and drops it."""

import os

import pytest
from database import ROOT, Database


@pytest.fixture(scope="module")
def schema():
    if "GANGSAW_TEST_DATABASE" not in os.environ:
        pytest.skip("GANGSAW_TEST_DATABASE names no server (./dev check starts one)")
    server = Database("postgres")
    name = f"gangsaw_pytest_{os.getpid()}"
    server.sql(f"DROP DATABASE IF EXISTS {name}; ")
    server.sql(f"CREATE DATABASE {name}")
    database = Database(name)
    files = "".join(f"\\i {path}\n" for path in sorted((ROOT / "sql").glob("*.sql")))
    database.sql(f"BEGIN; CREATE SCHEMA gangsaw;\n{files}COMMIT;")
    yield database
    database.close_sessions()
    server.sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(schema):
    yield schema
    schema.close_sessions()
    schema.sql("TRUNCATE gangsaw.job, gangsaw.job_done, gangsaw.job_blob, gangsaw.job_tag, "
               "gangsaw.blob, gangsaw.runner, gangsaw.task")

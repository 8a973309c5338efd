// SPDX-License-Identifier: BSD-2-Clause
//
// graphile-worker on the database of the stack: MODE "rate" enqueues JOBS no-op jobs in batches of
// BATCH while a worker runs, and waits until the table is empty; MODE "latency" enqueues single
// jobs on the idle worker. Prints one JSON object.
//
//     node measure.mjs rate|latency DATABASE_URL JOBS BATCH

import { run, makeWorkerUtils } from "graphile-worker";

const [mode, connectionString, jobs, batch] = process.argv.slice(2);
const count = Number(jobs);
const quiet = new (await import("graphile-worker")).Logger(() => () => {});

// What its documentation's page on performance recommends for many quick jobs.
const worker = {
  connectionString,
  concurrentJobs: 24,
  maxPoolSize: 25,
  pollInterval: 2000,
  logger: quiet,
  ...(mode === "rate"
    ? { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 }
    : {}),
};
const preset = { worker };

let started = () => {};
const taskList = {
  sum_squares: (payload) => {
    started(performance.now());
    let sum = 0;
    for (let k = 1; k <= payload.n; k++) sum += k * k;
  },
};

const utils = await makeWorkerUtils({ connectionString, logger: quiet });
await utils.migrate();
const runner = await run({ preset, taskList, noHandleSignals: true, logger: quiet });
const empty = async () =>
  utils.withPgClient(async (client) => {
    const answer = await client.query("select 1 from graphile_worker._private_jobs limit 1");
    return answer.rowCount === 0;
  });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function enqueue(size) {
  const specs = [];
  for (let i = 0; i < size; i++) specs.push({ identifier: "sum_squares", payload: { n: 1 } });
  await utils.addJobs(specs);
}

async function measureRate() {
  const begin = performance.now();
  for (let left = count; left > 0; left -= Number(batch)) await enqueue(Math.min(left, Number(batch)));
  const enqueued = performance.now();
  while (!(await empty())) await pause(20);
  const end = performance.now();
  return { enqueue_s: (enqueued - begin) / 1000, total_s: (end - begin) / 1000 };
}

async function measureLatency() {
  const ms = [];
  for (let i = 0; i < count; i++) {
    const begin = performance.now();
    const start = new Promise((resolve) => (started = resolve));
    await utils.addJob("sum_squares", { n: 1 });
    ms.push((await start) - begin);
    await pause(10);
  }
  return { ms };
}

await pause(500);
await enqueue(200); // warm
while (!(await empty())) await pause(20);
const result = mode === "rate" ? await measureRate() : await measureLatency();
await runner.stop();
await utils.release();
console.log(JSON.stringify(result));

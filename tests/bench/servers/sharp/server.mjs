// SPDX-License-Identifier: BSD-2-Clause
//
// sharp behind node's own http server, with its defaults: POST /NAME with the picture as the body; GET is an empty
// answer. A process for each core by node's own `cluster`, or one when PROCESSES is 1.

import cluster from "node:cluster";
import { createServer } from "node:http";
import sharp from "sharp";

const processes = Number(process.env.PROCESSES ?? 1);

const thumbnail = (picture, format) =>
  sharp(picture).rotate().resize({ width: 400 }).toFormat(format, { quality: 80 }).toBuffer();

const tasks = {
  thumbnail_jpeg: (body) => thumbnail(body, "jpeg"),
  thumbnail_webp: (body) => thumbnail(body, "webp"),
  inspect: async (body) => Buffer.from(JSON.stringify(await sharp(body).metadata())),
};

async function body(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces);
}

function serve() {
  createServer(async (request, response) => {
    if (request.method === "GET")
      return response.writeHead(200, { "Content-Type": "application/json" }).end("{}");
    try {
      const answer = await tasks[request.url.slice(1)](await body(request));
      response.writeHead(200, { "Content-Length": answer.length }).end(answer);
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  }).listen(Number(process.argv[2]), "127.0.0.1", () => console.log("listening"));
}

if (processes > 1 && cluster.isPrimary) for (let i = 0; i < processes; i++) cluster.fork();
else serve();

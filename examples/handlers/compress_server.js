#!/usr/bin/env node
// Compresses files: a server that is posted each job, says 202 at once, and calls back when the job is over. For jobs that take
// longer than a connection should stay open.
//
// A job of class CompressFile has two arguments: the file, and where its .gz goes. Listens on 127.0.0.1, port 8080 or $PORT.
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const zlib = require('node:zlib');
const { json } = require('node:stream/consumers');
const { pipeline } = require('node:stream/promises');

// Well below the engine's heartbeatTimeout, 5 minutes unless the manifest says otherwise.
const HEARTBEAT = 30_000;

// Writes target whole or not at all, and twice the same: a run may be cut short and followed by another.
async function compress(source, target, signal) {
  await fs.promises.access(source);
  await fs.promises.mkdir(path.dirname(target), { recursive: true });
  const half = `${target}.${process.pid}.half`;
  try {
    const content = fs.createReadStream(source, { highWaterMark: 1 << 20 });
    await pipeline(content, zlib.createGzip(), fs.createWriteStream(half), { signal });
    await fs.promises.rename(half, target);
  } catch (error) {
    await fs.promises.rm(half, { force: true });
    throw error;
  }
}

// Runs one job; returns its answer, or nothing when it was stopped.
async function run(job, signal) {
  try {
    const [source, target] = job.arguments;
    await compress(source, target, signal);
    return { outcome: 'done' };
  } catch (error) {
    if (signal.aborted) return undefined;
    // A file that isn't there won't come back by trying again.
    const hopeless = error.code === 'ENOENT' || error.code === 'ENOTDIR';
    const described = { exception_class: error.code ?? error.name, message: error.message, backtrace: error.stack.split('\n').slice(1) };
    return { outcome: hopeless ? 'fail' : 'retry', error: described };
  }
}

// Jobs under way, by the path that stops them.
const running = new Map();

async function start(job, headers) {
  const at = `/runs/${job.claim}`;
  const controller = new AbortController();
  running.set(at, controller);
  const callBack = async (line) => {
    const response = await fetch(headers['gritstone-callback'], {
      method: 'POST',
      headers: { authorization: `Bearer ${headers['gritstone-callback-token']}` },
      body: JSON.stringify({ claim: job.claim, ...line }),
    });
    // The run is over for the engine: somebody else may have the job already.
    if (response.status === 410) controller.abort();
  };
  // A call that gets lost is no reason to end: the engine gives the job to another run when it hears nothing.
  const tryToCallBack = (line) => callBack(line).catch((error) => console.error(`job ${job.id}: no callback: ${error.message}`));
  const heartbeat = setInterval(() => tryToCallBack({ heartbeat: true }), HEARTBEAT);
  const answer = await run(job, controller.signal);
  clearInterval(heartbeat);
  running.delete(at);
  if (answer) await tryToCallBack(answer);
}

const server = http.createServer(async (request, response) => {
  const say = (status, headers = {}) => response.writeHead(status, headers).end();
  if (request.method === 'GET') {
    // The health check: nothing is claimed before it answers 2xx.
    say(request.url === '/healthz' ? 204 : 404);
  } else if (request.method === 'DELETE') {
    running.get(request.url)?.abort();
    say(204);
  } else if (request.method === 'POST') {
    const job = await json(request);
    // Before the answer, which may come at once.
    say(202, { Location: `/runs/${job.claim}` });
    start(job, request.headers);
  } else {
    say(405, { Allow: 'GET, POST, DELETE' });
  }
});

server.listen(process.env.PORT ?? 8080, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});

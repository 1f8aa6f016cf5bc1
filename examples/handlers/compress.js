#!/usr/bin/env node
// Compresses files: a long-lived handler that reads a job per line and answers with a line.
//
// A job of class CompressFile has two arguments: the file, and where its .gz goes. While it runs it says how far it is, and
// stops when it is told to.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');
const zlib = require('node:zlib');
const { pipeline } = require('node:stream/promises');

const SAY_EVERY = 64 << 20;

// Writes target whole or not at all, and twice the same: a run may be cut short and followed by another.
async function compress(source, target, signal, onProgress) {
  await fs.promises.access(source);
  await fs.promises.mkdir(path.dirname(target), { recursive: true });
  const half = `${target}.${process.pid}.half`;
  try {
    const content = fs.createReadStream(source, { highWaterMark: 1 << 20 });
    content.on('data', (chunk) => onProgress(chunk.length));
    await pipeline(content, zlib.createGzip(), fs.createWriteStream(half), { signal });
    await fs.promises.rename(half, target);
  } catch (error) {
    await fs.promises.rm(half, { force: true });
    throw error;
  }
}

// Runs one job; returns its answer.
async function run(job, signal) {
  let bytes = 0;
  let said = 0;
  const onProgress = (more) => {
    bytes += more;
    if (bytes - said < SAY_EVERY) return;
    said = bytes;
    say(job, { progress: { bytes } });
  };
  try {
    const [source, target] = job.arguments;
    await compress(source, target, signal, onProgress);
    say(job, { log: `compressed ${source}, ${bytes} bytes` });
    return { outcome: 'done' };
  } catch (error) {
    if (signal.aborted) return { outcome: 'release' };
    // A file that isn't there won't come back by trying again.
    const hopeless = error.code === 'ENOENT' || error.code === 'ENOTDIR';
    return { outcome: hopeless ? 'fail' : 'retry', error: described(error) };
  }
}

function described(error) {
  return { exception_class: error.code ?? error.name, message: error.message, backtrace: error.stack.split('\n').slice(1) };
}

function say(job, line) {
  process.stdout.write(`${JSON.stringify({ claim: job.claim, ...line })}\n`);
}

// The job that runs: the next comes after its answer. Node ends by itself when stdin has ended and nothing is left to do.
let running;

readline.createInterface({ input: process.stdin }).on('line', async (text) => {
  const message = JSON.parse(text);
  if ('cancel' in message) {
    if (running?.claim === message.cancel) running.controller.abort();
    return;
  }
  running = { claim: message.claim, controller: new AbortController() };
  say(message, await run(message, running.controller.signal));
});

// A server that only its own pod reaches, and that takes a moment to start.
const http = require('node:http');

const answer = (request, response) => {
  request.resume();
  request.on('end', () => {
    const fine = request.url === '/healthz' || (request.url === '/jobs' && process.getuid() === 65532);
    response.writeHead(fine ? 200 : 422).end();
  });
};
setTimeout(() => http.createServer(answer).listen(8080, '127.0.0.1'), 1500);
process.on('SIGTERM', () => process.exit(0));

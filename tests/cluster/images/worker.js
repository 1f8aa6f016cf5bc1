// The same as job.sh, as a long-lived child: a job a line, an answer a line.
const wrong = () => {
  if (process.getuid() !== 65532) return `runs as ${process.getuid()}`;
  if (process.env.DATABASE_URL) return "sees the queue's address";
  if (process.env.SSL_CERT_FILE || process.env.GRITSTONE_CA_FILE) return "sees authorities that aren't its image's";
  if (process.env.GREETING !== 'hello') return "doesn't see its own variable";
  return null;
};

require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { claim, cancel } = JSON.parse(line);
  if (cancel !== undefined) return;
  const message = wrong();
  const error = message && { exception_class: 'Surroundings', message, backtrace: [] };
  console.log(JSON.stringify(error ? { claim, outcome: 'fail', error } : { claim, outcome: 'done' }));
});

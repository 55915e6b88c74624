// Imported for its effect: a mistake on a benchmark's command line is told in one line, with exit code 64. Anything else is a failure of ours.
process.on('uncaughtException', (error: NodeJS.ErrnoException) => {
  const ours = /\/bench\/dist\/bench\//.test(error.stack?.split('\n').find((line) => line.startsWith('    at ')) ?? '');
  const usage = (error instanceof RangeError && ours) || error.code?.startsWith('ERR_PARSE_ARGS') === true;
  process.stderr.write(`${usage ? error.message : (error.stack ?? String(error))}\n`);
  process.exit(usage ? 64 : 1);
});

// `dom1 info`: the host as its guests' host.
import { cpus, freemem, hostname, machine, release, totalmem } from 'node:os';
import { listDomains } from '../node/domain-registry.ts';
import { XEN_VERSION } from '../xen/calls/version-op.ts';
import type { Invocation } from './arguments.ts';
import { type CommandIo, printJson } from './command-io.ts';
import { EXIT_CODE } from './exit-codes.ts';
import { placeOf } from './open-domain.ts';
import { version } from './version.ts';

const MIB = 2 ** 20;

export async function infoCommand({ options }: Invocation, io: CommandIo): Promise<number> {
  const { major, minor } = XEN_VERSION;
  const info = {
    host: hostname(),
    release: release(),
    machine: machine(),
    nr_cpus: cpus().length,
    cpu_model: cpus()[0]?.model.trim() ?? '',
    total_memory: Math.floor(totalmem() / MIB),
    free_memory: Math.floor(freemem() / MIB),
    domains: (await listDomains(placeOf(io))).length,
    xen_major: major,
    xen_minor: minor,
    xen_version: `${major}.${minor}`,
    xen_caps: 'hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64',
    dom1_version: version(),
    node_version: process.version,
  };
  if (options.has('json')) printJson(io, info);
  else for (const [name, value] of Object.entries(info)) io.out(`${name.padEnd(23)}: ${value}\n`);
  return EXIT_CODE.ok;
}

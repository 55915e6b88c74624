// What `dom1 top` knows of each domain, asked again and again, and how much it used in between.
import { totalmem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DeviceStatistics } from '../control/device-statistics.ts';
import { connectRecord } from '../node/connect-control.ts';
import type { ControlClient } from '../node/control-client.ts';
import type { DomainRecord } from '../node/domain-record.ts';
import { listDomains } from '../node/domain-registry.ts';
import { domainFlags } from './domain-flags.ts';

/** How long a domain may take to answer, in milliseconds. */
const TIMEOUT = 2000;

export interface Sample extends DeviceStatistics {
  readonly id: number;
  readonly name: string;
  /** As xl shows it: r-----. */
  readonly state: string;
  readonly atMs: number;
  readonly cpuSeconds: number;
  /** Of each virtual CPU that is online. */
  readonly vcpuSeconds: readonly { readonly vcpu: number; readonly seconds: number }[];
  readonly instructions: number;
  readonly memoryKib: number;
  readonly maxMemoryKib: number;
  readonly vcpus: number;
}

export interface Usage extends Sample {
  /** Percent of one host CPU since the sample before; null in the first one. */
  readonly cpuPercent: number | null;
  /** Million instructions a second. */
  readonly mips: number | null;
  /** Of the host's memory. */
  readonly memoryPercent: number;
  readonly maxMemoryPercent: number;
}

/** Connections that last from one sample to the next. */
export class DomainClients implements Disposable {
  readonly #directory: string;
  readonly #clients = new Map<string, ControlClient>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Those domains that answer, in the order of their numbers. */
  async sample(): Promise<readonly Sample[]> {
    const records = await listDomains({ directory: this.#directory });
    const samples = await Promise.all(records.map((record) => this.#sampleOf(record)));
    return samples.filter((sample) => sample !== undefined).sort((a, b) => a.id - b.id);
  }

  async #sampleOf(record: DomainRecord): Promise<Sample | undefined> {
    try {
      let client = this.#clients.get(record.key);
      if (client === undefined) {
        client = await connectRecord(record, this.#directory, TIMEOUT);
        this.#clients.set(record.key, client);
      }
      const connected = client;
      const questions = ['query-domain', 'query-times', 'query-memory', 'query-vcpus', 'query-device-statistics'];
      const [domain, times, memory, vcpus, devices] = (await Promise.race([
        Promise.all(questions.map((command) => connected.execute(command))),
        sleep(TIMEOUT, undefined, { ref: false }),
      ])) as [
        { name: string; state: string; vcpus: number; memory: number },
        { retired: number },
        { actual: number | null; 'static-max': number | null },
        readonly { vcpu: number; online: boolean; blocked: boolean; 'time-running': number }[],
        DeviceStatistics,
      ];
      const online = vcpus.filter((vcpu) => vcpu.online);
      return {
        id: record.id,
        name: domain.name,
        state: domainFlags(domain.state, online.length > 0 && online.every(({ blocked }) => blocked)),
        atMs: performance.now(),
        cpuSeconds: vcpus.reduce((sum, vcpu) => sum + vcpu['time-running'], 0) / 1e9,
        vcpuSeconds: online.map((vcpu) => ({ vcpu: vcpu.vcpu, seconds: vcpu['time-running'] / 1e9 })),
        instructions: times.retired,
        memoryKib: memory.actual ?? domain.memory / 1024,
        maxMemoryKib: memory['static-max'] ?? domain.memory / 1024,
        vcpus: domain.vcpus,
        disks: devices.disks,
        vifs: devices.vifs,
      };
    } catch {
      this.#clients.get(record.key)?.[Symbol.dispose]();
      this.#clients.delete(record.key);
      return undefined;
    }
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients.values()) client[Symbol.dispose]();
  }
}

/** @param hostMemory bytes */
export function usagesOf(samples: readonly Sample[], before: readonly Sample[], hostMemory = totalmem()): readonly Usage[] {
  return samples.map((sample) => {
    const last = before.find(({ id, name }) => id === sample.id && name === sample.name);
    const seconds = last === undefined ? 0 : (sample.atMs - last.atMs) / 1000;
    // A guest that was restarted begins at 0 again.
    const per = (now: number, then: number | undefined): number | null =>
      then === undefined || seconds <= 0 ? null : Math.max(0, now - then) / seconds;
    const cpu = per(sample.cpuSeconds, last?.cpuSeconds);
    const instructions = per(sample.instructions, last?.instructions);
    const percent = (kib: number): number => (kib * 1024 * 100) / hostMemory;
    return {
      ...sample,
      cpuPercent: cpu === null ? null : cpu * 100,
      mips: instructions === null ? null : instructions / 1e6,
      memoryPercent: percent(sample.memoryKib),
      maxMemoryPercent: percent(sample.maxMemoryKib),
    };
  });
}

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as ERRNO from '../abi/xen/errno.ts';
import { HYPERVISOR } from '../abi/xen/hypercall.ts';
import { FakeTarget } from '../control/fixtures/fake-target.ts';
import { CONFIG_KEYS } from '../control/xl-config/key-table.ts';
import { serveControl } from '../node/serve-control.ts';
import { TOPIC_KINDS, type Topic } from './explain-topics.ts';
import { runWords } from './fixtures/run-words.ts';

const explain = (words: string) => runWords(['explain', ...words.split(' ')], { directory: '/nowhere' });
const topics = async (words: string): Promise<readonly Topic[]> =>
  JSON.parse((await explain(`${words} --json`)).stdout) as readonly Topic[];
const names = async (words: string): Promise<string[]> => (await topics(words)).map(({ kind, name }) => `${kind} ${name}`);

describe('dom1 explain', () => {
  it.each([
    ['hypercall 32', ['hypercall event_channel_op']],
    ['xen.memory_op', ['hypercall memory_op']],
    ['__HYPERVISOR_vcpu_op', ['hypercall vcpu_op']],
    ['SCHEDOP_poll', ['operation SCHEDOP_poll']],
    ['hypercall sched_op.poll', ['operation SCHEDOP_poll']],
    ['errno 22', ['errno EINVAL']],
    ['enosys', ['errno ENOSYS']],
    ['shutdown 3', ['shutdown crash']],
    ['VIRQ_TIMER', ['virq VIRQ_TIMER']],
    ['xenbus 4', ['xenbus Connected']],
    ['param 18', ['param HVM_PARAM_CONSOLE_EVTCHN']],
    ['msr 0x40000000', ['msr hypercall_page', 'msr HV_X64_MSR_GUEST_OS_ID']],
    ['cpuid 0x40000004', ['cpuid xen hvm', 'cpuid viridian recommendations']],
    ['key memory', ['key memory']],
    ['on_crash', ['key on_crash']],
    ['exit 82', ['exit exit 82 of run and demo']],
    ['xen.evtchn_send', ['tracepoint xen.evtchn_send']],
    ['monitor block_attach', ['monitor block_attach']],
  ])('%s', async (words, found) => {
    expect(await names(words)).toEqual(found);
  });

  it('prints sentences', async () => {
    expect((await explain('hypercall 36')).stdout).toBe(
      'hypercall domctl (36)\n' +
        '  An unprivileged HVM domain is refused, whatever its arguments: -EPERM (the domain may not do\n  that).\n' +
        '  Calls of it are counted in `dom1 inspect <domain> /xen/hypercalls/domctl`.\n',
    );
    expect((await explain('key on_crash')).stdout).toContain('preserve');
  });

  it('tells of a number in every kind that has it', async () => {
    const kinds = new Set((await topics('32')).map(({ kind }) => kind));
    expect([...kinds]).toEqual(expect.arrayContaining(['hypercall', 'param']));
  });

  it('a kind alone is all of it', async () => {
    expect(await topics('key')).toHaveLength(CONFIG_KEYS.length);
    expect(await topics('errno')).toHaveLength(Object.keys(ERRNO).length);
    expect((await topics('hypercall')).filter(({ kind }) => kind === 'hypercall')).toHaveLength(Object.keys(HYPERVISOR).length);
  });

  it('every topic has a name, a sentence, and can be asked for', async () => {
    for (const [kind, { topics: list }] of Object.entries(TOPIC_KINDS))
      for (const { name, text } of list()) {
        expect(text.length).toBeGreaterThan(0);
        for (const sentence of text) expect(sentence, name).toMatch(/^[^\n]+[.:]$/);
        expect(await names(`${kind} ${name}`)).not.toEqual([]);
      }
  });

  it('guesses what was meant, or says what there is', async () => {
    expect(await explain('event_chanel_op')).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('did you mean event_channel_op?'),
    });
    expect(await explain('hypercall 63')).toMatchObject({
      code: 64,
      stderr: "dom1: nothing is known of hypercall '63'; `dom1 explain hypercall` lists what there is\n",
    });
    expect((await explain('zzzzzzzzzzzzzzzz')).stderr).toContain('there are hypercall (');
  });

  it('tells of an event channel of a domain', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'dom1-explain-'));
    const target = new FakeTarget({ name: 'web' });
    target.xenstore.write('/local/domain/1/console/port', 2);
    target.xenstore.write('/local/domain/1/device/vif/0/queue-1/event-channel-rx', 1);
    const served = await serveControl(target, { directory, version: '0.1.0' });
    const port = (number: number) => runWords(['explain', 'evtchn', `${number}`, 'of', 'web'], { directory });
    try {
      expect((await port(1)).stdout).toBe(
        'evtchn 1 of web (1)\n  Its other end is port 3 of dom0.\n  Virtual CPU 0 is told. It is not pending and not masked.\n  It is for the device vif 0.\n',
      );
      expect((await port(2)).stdout).toContain('It is pending and masked.\n  It is for the console.');
      expect((await port(5)).stdout).toContain('port 6 of the same domain');
      expect(await port(9)).toMatchObject({ code: 65, stderr: expect.stringContaining('event channel 9 of web is closed') });
    } finally {
      await served[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true });
    }
  });
});

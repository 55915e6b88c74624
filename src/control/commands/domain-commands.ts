// Commands of the monitor that act on the domain as a whole.
import type { DomainState } from '../../machine/domain-config.ts';
import { controlCommand } from '../control-command.ts';
import { ControlError } from '../control-error.ts';
import { ENDED_STATES, type MonitorTarget } from '../monitor-target.ts';
import { VCPU } from './vcpu-argument.ts';

/** @throws ControlError unless the domain is in one of these states */
function requireState(target: MonitorTarget, wanted: readonly DomainState[], what: string): void {
  if (!wanted.includes(target.state)) throw new ControlError('WrongState', `the domain is ${target.state}: it cannot be ${what}`);
}

const ALIVE: readonly DomainState[] = ['built', 'running', 'paused', 'suspended'];

export const DOMAIN_COMMANDS = [
  controlCommand({
    name: 'query-status',
    help: 'whether the domain runs',
    arguments: {},
    run: ({ target }) => ({ status: target.state, running: target.state === 'running' }),
  }),
  controlCommand({
    name: 'query-name',
    help: "the domain's name",
    arguments: {},
    run: ({ target, host }) => ({ name: host.name?.() ?? target.name }),
  }),
  controlCommand({
    name: 'query-uuid',
    help: "the domain's UUID",
    arguments: {},
    run: ({ target }) => ({ UUID: target.uuid }),
  }),
  controlCommand({
    name: 'query-domain',
    help: 'domid, name, state, virtual CPUs and memory in one answer',
    arguments: {},
    run: ({ target: { id, name, uuid, state, vcpus, memoryBytes }, host }) => ({
      domid: id,
      name: host.name?.() ?? name,
      uuid,
      state,
      vcpus,
      memory: memoryBytes,
    }),
  }),
  controlCommand({
    name: 'stop',
    help: 'pause the domain; nothing to do if it is paused',
    arguments: {},
    async run({ target }) {
      requireState(target, ['running', 'paused'], 'paused');
      if (target.state === 'running') await target.pause();
    },
  }),
  controlCommand({
    name: 'cont',
    help: 'let a paused domain go on; nothing to do if it runs',
    arguments: {},
    async run({ target }) {
      requireState(target, ['running', 'paused'], 'unpaused');
      if (target.state === 'paused') await target.unpause();
    },
  }),
  controlCommand({
    name: 'system_wakeup',
    help: 'let a guest that suspended itself go on: as after a restore, or as if the suspend had failed',
    arguments: { cancelled: { type: 'boolean', optional: true, help: 'as if the suspend had failed' } },
    async run({ target }, { cancelled = false }) {
      requireState(target, ['suspended'], 'resumed');
      await target.resume({ cancelled });
    },
  }),
  controlCommand({
    name: 'system_reset',
    help: 'reset the domain as if power was cut and came back',
    arguments: {},
    async run({ target }) {
      requireState(target, ALIVE, 'reset');
      await target.reset();
    },
  }),
  controlCommand({
    name: 'system_powerdown',
    help: 'ask the guest to power off (control/shutdown); it may take its time, or refuse',
    arguments: {},
    async run({ target }) {
      requireState(target, ['running', 'paused'], 'asked to power off');
      await target.shutdown('poweroff');
    },
  }),
  controlCommand({
    name: 'xen-shutdown',
    help: 'ask the guest to power off, to reboot or to suspend itself (control/shutdown)',
    arguments: {
      kind: { type: 'string', values: ['poweroff', 'reboot', 'suspend'], help: 'what to ask for' },
    },
    async run({ target }, { kind }) {
      requireState(target, ['running', 'paused'], `asked to ${kind === 'poweroff' ? 'power off' : kind}`);
      await target.shutdown(kind);
    },
  }),
  controlCommand({
    name: 'inject-nmi',
    help: 'send a non-maskable interrupt',
    arguments: { vcpu: VCPU },
    run({ target }, { vcpu }) {
      requireState(target, ['running', 'paused'], 'interrupted');
      target.nmi(vcpu);
    },
  }),
  controlCommand({
    name: 'quit',
    help: 'destroy the domain at once, without asking the guest',
    arguments: {},
    async run({ target }) {
      // A guest that has ended may be kept, or about to be started again.
      if (!ENDED_STATES.includes(target.state) || target.onGuestEnd !== undefined) await target.destroy();
    },
  }),
];

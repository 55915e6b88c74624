// The rings that a toolstack offers: console and XenStore, used by hand. public/io/console.h, public/io/xs_wire.h.
import { beforeAll, describe, expect, it } from 'vitest';
import { EventCalls } from './event-calls.ts';
import type { Probe } from './probe.ts';
import { latchWidth, SharedPage } from './shared-page.ts';
import { useProbe, WIDTHS } from './use-probe.ts';
import { DOMID, HVMOP, HYPERVISOR } from './xen-numbers.ts';

const PAGE = 0x1000;
const PARAM = { STORE_PFN: 1, STORE_EVTCHN: 2, CONSOLE_PFN: 17, CONSOLE_EVTCHN: 18 } as const;
/** struct xencons_interface */
const CONSOLE = { in: 0, out: 1024, in_cons: 3072, in_prod: 3076, out_cons: 3080, out_prod: 3084 } as const;
/** struct xenstore_domain_interface */
const STORE = { req: 0, rsp: 1024, req_cons: 2048, req_prod: 2052, rsp_cons: 2056, rsp_prod: 2060, connection: 2068 } as const;
const XS = {
  directory: 1,
  read: 2,
  watch: 4,
  transaction_start: 6,
  transaction_end: 7,
  write: 11,
  watch_event: 15,
  error: 16,
} as const;
const HEADER = 16;
const RING = 1024;

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (data: Uint8Array): string => new TextDecoder('latin1').decode(data);

function param(probe: Probe, index: number): number {
  const at = probe.make(16, [0, 2, DOMID.self], [4, 4, index]);
  const result = probe.call(HYPERVISOR.hvm_op, HVMOP.get_param, at);
  if (result !== 0) throw new Error(`get_param: ${result}`);
  return Number(probe.get(at + 8, 8));
}

interface Message {
  readonly type: number;
  readonly request: number;
  readonly payload: string;
}

/** A XenStore client of one page: it sends one message at a time. */
class StoreClient {
  readonly #probe: Probe;
  readonly #page: number;
  readonly #send: () => void;
  readonly #events: string[] = [];
  #request = 0;

  constructor(probe: Probe, page: number, send: () => void) {
    this.#probe = probe;
    this.#page = page;
    this.#send = send;
  }

  async ask(type: number, payload: string, transaction = 0): Promise<Message> {
    const id = ++this.#request;
    const body = bytes(payload);
    const message = new Uint8Array(HEADER + body.length);
    const view = new DataView(message.buffer);
    for (const [i, value] of [type, id, transaction, body.length].entries()) view.setUint32(i * 4, value, true);
    message.set(body, HEADER);
    const produced = this.#word(STORE.req_prod);
    for (const [i, byte] of message.entries()) this.#probe.put(this.#page + STORE.req, [(produced + i) % RING, 1, byte]);
    this.#probe.put(this.#page, [STORE.req_prod, 4, produced + message.length]);
    this.#send();
    // Events may come before the answer or after it.
    for (;;) {
      const answer = await this.#receive();
      if (answer.type !== XS.watch_event) return answer;
      this.#events.push(answer.payload);
    }
  }

  /** The payload of the next watch event. */
  async event(): Promise<string> {
    return this.#events.shift() ?? (await this.#receive()).payload;
  }

  async #receive(): Promise<Message> {
    const header = await this.#take(HEADER);
    const view = new DataView(header.buffer);
    const payload = await this.#take(view.getUint32(12, true));
    return { type: view.getUint32(0, true), request: view.getUint32(4, true), payload: text(payload) };
  }

  async #take(count: number): Promise<Uint8Array> {
    const out = new Uint8Array(count);
    for (let i = 0; i < count; i++) {
      const consumed = this.#word(STORE.rsp_cons);
      await this.#probe.until('an answer', () => this.#word(STORE.rsp_prod) !== consumed);
      out[i] = this.#probe.u8(this.#page + STORE.rsp + (consumed % RING));
      this.#probe.put(this.#page, [STORE.rsp_cons, 4, consumed + 1]);
    }
    this.#send();
    return out;
  }

  #word(offset: number): number {
    return this.#probe.u32(this.#page + offset);
  }
}

describe.each(WIDTHS)('the rings of a %i-bit guest', (width) => {
  let events: EventCalls;
  let shared: SharedPage;
  const guest = useProbe(width, (probe) => {
    latchWidth(probe);
    events = new EventCalls(probe);
    shared = SharedPage.map(probe);
  });

  describe('console', () => {
    let page: number;
    let port: number;
    beforeAll(() => {
      page = param(guest.probe, PARAM.CONSOLE_PFN) * PAGE;
      port = param(guest.probe, PARAM.CONSOLE_EVTCHN);
    });

    it('its port is an end of a channel to domain 0', () => {
      expect(events.status(port)).toMatchObject({ status: 2, u0: DOMID.zero });
    });

    it('carries what the guest writes, and frees the room', async () => {
      const { probe } = guest;
      let seen = '';
      using _ = probe.domain.console.onOutput((data) => {
        seen += text(data);
      });
      const line = `ring of ${width}\n`;
      probe.write(page + CONSOLE.out, bytes(line));
      probe.put(page, [CONSOLE.out_prod, 4, line.length]);
      expect(events.send(port)).toBe(0);
      await probe.until('the text', () => seen.includes(line));
      await probe.until('the room', () => probe.u32(page + CONSOLE.out_cons) === line.length);
    });

    it('carries what is typed, with an event', async () => {
      const { probe } = guest;
      shared.settle();
      probe.domain.console.write('typed');
      await probe.until('the event', () => shared.pending(port));
      expect(probe.u32(page + CONSOLE.in_prod)).toBe(5);
      expect(text(probe.read(page + CONSOLE.in, 5))).toBe('typed');
      expect(shared.upcallPending).toBe(1);
      probe.put(page, [CONSOLE.in_cons, 4, 5]);
      events.send(port);
    });
  });

  describe('XenStore', () => {
    let store: StoreClient;
    let domid: number;
    beforeAll(() => {
      const { probe } = guest;
      const page = param(probe, PARAM.STORE_PFN) * PAGE;
      const port = param(probe, PARAM.STORE_EVTCHN);
      domid = probe.cpuid(0x4000_0004)[2];
      expect(probe.u32(page + STORE.connection)).toBe(0);
      store = new StoreClient(probe, page, () => expect(events.send(port)).toBe(0));
    });

    it('answers', async () => {
      expect(await store.ask(XS.read, 'domid\0')).toMatchObject({ type: XS.read, request: 1, payload: String(domid) });
      expect((await store.ask(XS.directory, `/local/domain/${domid}\0`)).payload.split('\0')).toContain('device');
      expect(await store.ask(XS.read, 'nothing/here\0')).toMatchObject({ type: XS.error, payload: 'ENOENT\0' });
      expect(await store.ask(XS.write, '/local/domain/0/x\0y')).toMatchObject({ type: XS.error, payload: 'EACCES\0' });
      expect(await store.ask(99, '\0')).toMatchObject({ type: XS.error, payload: 'ENOSYS\0' });
    });

    it('keeps what is written, and tells watchers', async () => {
      expect(await store.ask(XS.write, 'data/probe\0one')).toMatchObject({ type: XS.write, payload: 'OK\0' });
      expect((await store.ask(XS.read, 'data/probe\0')).payload).toBe('one');
      expect(await store.ask(XS.watch, 'data/probe\0token\0')).toMatchObject({ type: XS.watch, payload: 'OK\0' });
      expect(await store.event()).toBe('data/probe\0token\0');
      expect(await store.ask(XS.write, 'data/probe\0two')).toMatchObject({ type: XS.write });
      expect(await store.event()).toBe('data/probe\0token\0');
    });

    it('has transactions', async () => {
      const { payload } = await store.ask(XS.transaction_start, '\0');
      const id = Number.parseInt(payload, 10);
      expect(id).toBeGreaterThan(0);
      await store.ask(XS.write, 'data/inside\0three', id);
      expect(await store.ask(XS.read, 'data/inside\0')).toMatchObject({ type: XS.error, payload: 'ENOENT\0' });
      expect(await store.ask(XS.transaction_end, 'T\0', id)).toMatchObject({ type: XS.transaction_end, payload: 'OK\0' });
      expect((await store.ask(XS.read, 'data/inside\0')).payload).toBe('three');
    });
  });
});

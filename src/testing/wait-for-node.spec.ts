import { describe, expect, it } from 'vitest';
import { XenStore } from '../xen/store/store.ts';
import { StoreClient } from '../xen/store/store-client.ts';
import { waitForNode } from './wait-for-node.ts';

const domain = () => ({ id: 7, xenstore: new StoreClient(new XenStore()) });
const soon = { timeout: 2000 };

describe('waiting for a node', () => {
  it('resolves with its value as soon as it is there', async () => {
    const guest = domain();
    const value = waitForNode(guest, 'data/hello', undefined, soon);
    guest.xenstore.write('/local/domain/7/data/hello', 'x');
    expect(await value).toBe('x');
  });

  it.each<[string, string | RegExp | ((value: string) => boolean)]>([
    ['a value', '4'],
    ['a pattern', /^[4-6]$/],
    ['a function', (value) => Number(value) > 3],
  ])('waits for %s', async (_, wanted) => {
    const guest = domain();
    guest.xenstore.write('/tool/state', '1');
    const value = waitForNode(guest, '/tool/state', wanted, soon);
    setTimeout(() => guest.xenstore.write('/tool/state', '3'), 5);
    setTimeout(() => guest.xenstore.write('/tool/state', '4'), 10);
    expect(await value).toBe('4');
  });

  it('says what there was instead', async () => {
    const guest = domain();
    await expect(waitForNode(guest, 'data/x', '1', { timeout: 5 })).rejects.toMatchObject({
      name: 'TimeoutError',
      message: '/local/domain/7/data/x did not become what was waited for within 5 ms; it is not there',
    });
    guest.xenstore.write('/local/domain/7/data/x', '2');
    await expect(waitForNode(guest, 'data/x', '1', { timeout: 5 })).rejects.toThrow('within 5 ms; it is "2"');
  });

  it('gives up with its signal', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(waitForNode(domain(), 'data/x', '1', { signal })).rejects.toThrow('enough');
  });
});

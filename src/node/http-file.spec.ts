import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createImage } from '../image/qcow2/create-image.ts';
import { openPlain } from '../image/qcow2/fixtures/model-run.ts';
import { RamFile } from '../io/ram-file.ts';
import { sendRange } from './fixtures/send-range.ts';
import { HttpFile } from './http-file.ts';
import { openDisk } from './open-disk.ts';

const DATA = new Uint8Array(300_000).map((_, i) => (i * 7 + (i >> 8)) & 0xff);
const QUICK = { pieceSize: 4096, pauseMs: 1, retries: 3 };

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function serve(handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  server = createServer(handler);
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/disk`;
}

describe('a file on a web server', () => {
  it('is read by pieces, each of them once', async () => {
    const asked: string[] = [];
    const url = await serve((request, response) => {
      asked.push(request.headers.range ?? '');
      sendRange(request, response, DATA);
    });
    const file = await HttpFile.open(url, QUICK);
    expect(file.size).toBe(DATA.length);
    const bytes = new Uint8Array(10_000);
    await Promise.all([file.read(5000, bytes), file.read(6000, new Uint8Array(100))]);
    expect(Buffer.compare(bytes, DATA.subarray(5000, 15_000))).toBe(0);
    await file.read(5000, bytes);
    expect(asked.sort()).toEqual(['bytes=0-4095', 'bytes=12288-16383', 'bytes=4096-8191', 'bytes=8192-12287']);
    const tail = new Uint8Array(1000).fill(1);
    await file.read(DATA.length - 500, tail);
    expect(Buffer.compare(tail.subarray(0, 500), DATA.subarray(DATA.length - 500))).toBe(0);
    expect(tail.subarray(500).every((byte) => byte === 0)).toBe(true);
  });

  it('keeps a bounded number of pieces', async () => {
    let requests = 0;
    const url = await serve((request, response) => {
      requests++;
      sendRange(request, response, DATA);
    });
    const file = await HttpFile.open(url, { ...QUICK, cacheBytes: 4 * 4096 });
    const read = (index: number): Promise<void> => file.read(index * 4096, new Uint8Array(10));
    for (const index of [0, 1, 2, 3, 0, 4, 0]) await read(index);
    expect(requests).toBe(5);
    await read(1);
    expect(requests).toBe(6);
  });

  it('is asked again after failures that may pass', async () => {
    let failures = 0;
    const url = await serve((request, response) => {
      failures++;
      if (failures === 2) return void response.writeHead(503).end();
      if (failures === 3) return void request.socket.destroy();
      if (failures === 4) {
        // It says more than comes.
        response.writeHead(206, { 'content-range': `bytes 8192-12287/${DATA.length}`, etag: '"1"', 'content-length': 4096 });
        response.write(DATA.subarray(8192, 9000));
        return void setTimeout(() => request.socket.destroy(), 5);
      }
      sendRange(request, response, DATA);
    });
    const file = await HttpFile.open(url, QUICK);
    const bytes = new Uint8Array(4096);
    await file.read(8192, bytes);
    expect(Buffer.compare(bytes, DATA.subarray(8192, 12_288))).toBe(0);
    expect(failures).toBe(5);
  });

  it('says why it cannot be read', async () => {
    const answers: Record<string, (request: IncomingMessage, response: ServerResponse) => void> = {
      'is not there (404)': (_, response) => void response.writeHead(404).end(),
      'may not be read (403)': (_, response) => void response.writeHead(403).end(),
      'the server does not serve ranges; use another server, or download the file': (_, response) =>
        void response.writeHead(200).end(DATA),
      'the server answers 500 (4 times)': (_, response) => void response.writeHead(500).end(),
      'the server sent another range than it was asked for (bytes 5-9/300000)': (_, response) =>
        void response.writeHead(206, { 'content-range': 'bytes 5-9/300000' }).end('abcde'),
      'the server sent more than it was asked for': (_, response) =>
        void response.writeHead(206, { 'content-range': 'bytes 0-9/300000' }).end(DATA),
    };
    for (const [message, handler] of Object.entries(answers)) {
      const url = await serve(handler);
      await expect(HttpFile.open(url, QUICK)).rejects.toThrow(message);
      server?.closeAllConnections();
      server?.close();
    }
    await expect(HttpFile.open('http://127.0.0.1:1/x', QUICK)).rejects.toThrow(
      /cannot be read: .* \(4 times\); check the address/,
    );
  });

  it('is given up when it changes on the server', async () => {
    let etag = '"1"';
    const url = await serve((request, response) => sendRange(request, response, DATA, etag));
    const file = await HttpFile.open(url, QUICK);
    etag = '"2"';
    await expect(file.read(50_000, new Uint8Array(512))).rejects.toThrow('has changed on the server; start again');
  });

  it('may be a qcow2 image with a backing file beside it', async () => {
    const image = new RamFile();
    await createImage(image, { size: 299_520, clusterSize: 4096, backing: { name: 'base.img', format: 'raw' } });
    const { RamStore } = await import('../io/ram-store.ts');
    const store = await openPlain(image, () => new RamStore(299_520));
    await store.write(8192, new Uint8Array(4096).fill(0xaa));
    await store.close();
    const files: Record<string, Uint8Array> = { '/disk': image.contents(), '/base.img': DATA };
    const url = await serve((request, response) => sendRange(request, response, files[request.url as string] as Uint8Array));
    const disk = await openDisk({ path: url, http: QUICK });
    const bytes = new Uint8Array(12_288);
    await disk.store.read(4096, bytes);
    const expected = DATA.slice(4096, 16_384);
    expected.fill(0xaa, 4096, 8192);
    expect(Buffer.compare(bytes, expected)).toBe(0);
    await expect(disk.store.write(0, new Uint8Array(512))).rejects.toThrow('is read-only');
    await disk.close();
  });
});

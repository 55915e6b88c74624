import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { pcapFileHeader, pcapRecord } from '../net/pcap.ts';
import { PcapFile } from './pcap-file.ts';

it('a capture file has what was written, in order, once it is closed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'dom1-pcap-'));
  const file = new PcapFile(join(folder, 'a.pcap'));
  const parts = [pcapFileHeader(), pcapRecord(new Uint8Array(60).fill(1), 1000.25), pcapRecord(new Uint8Array(70).fill(2), 1001)];
  for (const part of parts) file.write(part);
  await file.close();
  expect((await readFile(join(folder, 'a.pcap'))).equals(Buffer.concat(parts))).toBe(true);
  expect(file.lost).toBe(0);
  await rm(folder, { recursive: true });
});

it('a capture file that cannot be written says so at the end, and holds nothing up before', async () => {
  const file = new PcapFile(join(tmpdir(), 'no-such-folder-here', 'a.pcap'));
  file.write(pcapFileHeader());
  await expect(file.close()).rejects.toMatchObject({ code: 'ENOENT' });
});

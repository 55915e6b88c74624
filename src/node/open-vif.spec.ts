// What a card is plugged into, and what a person is told when it cannot be.
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readDomainSpec } from '../control/xl-config/read-domain-spec.ts';
import { openVifDevice } from './open-vif.ts';
import { SharedSwitch } from './shared-switch.ts';
import { specConfig } from './spec-config.ts';

const folder = mkdtempSync(join(tmpdir(), 'dom1-vif-'));
afterAll(() => rmSync(folder, { recursive: true }));

const vifs = (words: string) =>
  specConfig(readDomainSpec(`name = "a"\nkernel = "/k"\nvif = [ "${words}" ]`, 'a.cfg').spec, folder).vifs!;
const open = (words: string) => openVifDevice(vifs(words)[0]!);

describe('a card of a configuration', () => {
  it('is plugged into what it names', async () => {
    const cable = join(folder, 'cable');
    for (const words of ['', 'link=user', 'bridge=lan', `link=socket:listen=${cable}`]) await (await open(words)).close();
    const near = await open(`link=socket:listen=${cable}`);
    const far = await open(`link=socket:connect=${cable},pcap=${join(folder, 'x.pcap')}`);
    await far.close();
    await near.close();
    const other = await SharedSwitch.join({ name: 'lan', directory: folder });
    const card = await open('link=switch:lan,mtu=9000');
    await expect.poll(() => other.members).toBe(1);
    await card.close();
    await other.close();
  });

  it.each([
    [
      'link=socket:connect=/nowhere/x',
      'a.cfg:3:9: vif: link=socket:connect=/nowhere/x: connect ENOENT /nowhere/x; start the side with link=socket:listen=… first',
    ],
    ['link=socket:connect=:1', 'ECONNREFUSED 127.0.0.1:1; start the side with link=socket:listen=… first'],
    [
      'link=tap:nosuchtap0',
      'a.cfg:3:9: vif: link=tap:nosuchtap0: there is no network device nosuchtap0; make it, as root: ip tuntap add',
    ],
    [
      'hostfwd=tcp:192.0.2.1:1-:22',
      'hostfwd: listen EADDRNOTAVAIL: address not available 192.0.2.1:1; this host has no such address',
    ],
    ['hostfwd=22', "a.cfg:3:9: vif: forwards: '22' is not [tcp|udp]:[host address]:port-[guest address]:port; see link="],
    ['link=user,mtu=100', 'a.cfg:3:9: vif: mtu: 100 is not in 576..65535'],
    ['pcap=/nowhere/x.pcap', 'a.cfg:3:9: vif: the capture /nowhere/x.pcap cannot be written: ENOENT'],
  ])('%s is refused with its place, the reason and the next step', async (words, message) => {
    await expect(open(words)).rejects.toThrow(
      expect.objectContaining({ name: 'VifError', message: expect.stringContaining(message) }),
    );
  });

  it('says that its port is taken, and leaves nothing open', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    await expect(open(`hostfwd=tcp:127.0.0.1:${port}-:22`)).rejects.toThrow(
      `a.cfg:3:9: vif: hostfwd: listen EADDRINUSE: address already in use 127.0.0.1:${port}; something listens there already`,
    );
    server.close();
  });
});

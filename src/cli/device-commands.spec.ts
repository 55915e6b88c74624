// The commands on PV devices, against a domain that is not there behind a real socket.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { diskOfWords } from '../control/device-words.ts';
import { FakeDevices } from '../control/fixtures/fake-devices.ts';
import { FakeTarget } from '../control/fixtures/fake-target.ts';
import { type ServedControl, serveControl } from '../node/serve-control.ts';
import { type Run, runWords } from './fixtures/run-words.ts';

let directory: string;
let web: FakeTarget;
let devices: FakeDevices;
let served: ServedControl;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'dom1-devices-'));
  web = new FakeTarget({ name: 'web' });
  devices = new FakeDevices(web);
  served = await serveControl(web, { directory: join(directory, 'dom1'), version: '0.1.0', host: { devices } });
});
afterEach(async () => {
  await served[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

const dom1 = (words: string): Promise<Run> => runWords(words.split(' '), { directory: join(directory, 'dom1') });
const done = (stdout = ''): Run => ({ code: 0, stdout, stderr: '' });
const refused = (reason: string): Run => ({ code: 1, stdout: '', stderr: `dom1: ${reason}\n` });
const json = async (words: string): Promise<unknown> => JSON.parse((await dom1(`${words} --json`)).stdout);

describe('disks', () => {
  it.each(['data.img,raw,xvdb,w', 'raw:data.img,xvdb,w', 'vdev=xvdb target=data.img', 'data.img raw xvdb w'])(
    'block-attach takes the words %j',
    async (words) => {
      expect(await dom1(`block-attach web ${words}`)).toEqual(done());
      expect(devices.calls).toEqual([`attachDisk xvdb data.img {"directory":"${process.cwd()}","timeout":10000}`]);
    },
  );

  it('block-attach, block-list and block-detach tell what they did as JSON', async () => {
    expect(await json('block-attach web a.img,,xvdb --timeout 2.5')).toEqual({ vdev: 'xvdb', devid: 51728 });
    expect(devices.calls[0]).toContain('"timeout":2500');
    expect(await json('block-list web')).toEqual([
      {
        domain: 'web',
        vdev: 'xvdb',
        devid: 51728,
        target: 'a.img',
        mode: 'w',
        cdrom: false,
        'backend-id': 0,
        'frontend-id': 1,
        state: 4,
        'event-channel': 15,
        'ring-ref': 8,
        backend: '/local/domain/0/backend/vbd/1/51728',
        frontend: '/local/domain/1/device/vbd/51728',
      },
    ]);
    expect(await json('block-detach web d1')).toEqual({ vdev: 'xvdb', devid: 51728 });
    expect(await json('block-list web')).toEqual([]);
  });

  it("block-list has xl's columns, and -1 for what the guest has not told", async () => {
    devices.addDisk(diskOfWords(['a.img,,xvda']));
    web.xenstore.remove('/local/domain/1/device/vbd/51712/ring-ref');
    expect(await dom1('block-list web')).toEqual(
      done(
        'Vdev  BE  handle state evt-ch ring-ref BE-path\n51712 0   1      4     15     -1       /local/domain/0/backend/vbd/1/51712\n',
      ),
    );
  });

  it('does not wait for a guest that cannot take the disk, or when it is not to', async () => {
    expect(await dom1('block-attach web a.img,,xvdb --no-wait')).toEqual(done());
    web.change('paused');
    expect(await dom1('block-attach web b.img,,xvdc')).toEqual(done());
    expect(devices.calls.map((call) => call.includes('timeout'))).toEqual([false, false]);
  });

  it('a dry run asks nobody', async () => {
    const run = await dom1('block-attach nobody a.qcow2,qcow2,xvdb,r -n');
    expect(JSON.parse(run.stdout)).toMatchObject({ target: 'a.qcow2', format: 'qcow2', vdev: 'xvdb', readonly: true });
  });

  it('says what is wrong with the words, the name, and what cannot be attached', async () => {
    expect(await dom1('block-attach web a.img,,xvdb,x')).toMatchObject({
      code: 65,
      stderr: expect.stringMatching(/^dom1: command line:1:\d+: disk 'a\.img,,xvdb,x': 'x' is no access; [^\n]+\n$/),
    });
    expect(devices.calls).toEqual([]);
    devices.addDisk(diskOfWords(['a.img,,xvda']));
    expect(await dom1('block-attach web b.img,,d0')).toEqual(
      refused('the domain has a disk d0 already; give this one another vdev'),
    );
    devices.failure = new Error('b.img is in use: process 7 has it open for writing; end that first');
    expect(await dom1('block-attach web b.img,,xvdb')).toEqual(
      refused('b.img is in use: process 7 has it open for writing; end that first'),
    );
    expect(await dom1('block-detach web xvdz')).toEqual(refused('the domain has no disk xvdz; it has xvda'));
    expect(await dom1('block-attach web a,,xvdb --timeout soon')).toMatchObject({ code: 64 });
  });

  it('block-detach leaves a disk that is in use, unless it is forced', async () => {
    devices.addDisk(diskOfWords(['a.img,,xvda']));
    devices.letsGo = false;
    expect(await dom1('block-detach web xvda --timeout 1')).toEqual(
      refused('the guest does not let go of xvda; unmount it there, or use --force'),
    );
    expect(await dom1('block-detach web 51712 -f')).toEqual(done());
    expect(devices.calls).toEqual([
      'detach vbd 51712 {"force":false,"timeout":1000}',
      'detach vbd 51712 {"force":true,"timeout":0}',
    ]);
  });

  it('discs are put into drives and taken out, and not into other disks', async () => {
    devices.addDisk(diskOfWords(['a.img,,xvda']));
    devices.addDisk(diskOfWords([',,hdc:cdrom,r']));
    expect(await dom1('cd-insert web hdc one.iso')).toEqual(done());
    expect(await dom1('cd-eject web hdc')).toEqual(done());
    expect(devices.calls).toEqual([`changeMedium hdc one.iso {"directory":"${process.cwd()}"}`, 'changeMedium hdc  {}']);
    expect((await dom1('cd-eject web xvda')).stderr).toContain('xvda is no CD drive');
  });
});

describe('network cards', () => {
  it('network-attach gives the number after the last one, and network-detach finds it by either name', async () => {
    expect(await json('network-attach web mac=00:16:3e:00:00:01')).toEqual({ devid: 0, mac: '00:16:3e:00:00:01' });
    expect(await json('network-attach web')).toEqual({ devid: 1, mac: '00:16:3e:00:00:99' });
    expect(await json('network-detach web 00:16:3E:00:00:01')).toEqual({ devid: 0, mac: '00:16:3e:00:00:01' });
    expect(await json('network-attach web mac=00:16:3e:00:00:02')).toEqual({ devid: 2, mac: '00:16:3e:00:00:02' });
    expect(await dom1('network-detach web 1')).toEqual(done());
    expect(await json('network-list web')).toMatchObject([{ domain: 'web', devid: 2, 'event-channel': 9, 'tx-ring-ref': 768 }]);
    expect(devices.calls.filter((call) => call.startsWith('detach'))).toEqual([
      'detach vif 0 {"force":true,"timeout":10000}',
      'detach vif 1 {"force":true,"timeout":10000}',
    ]);
  });

  it("network-list has xl's columns", async () => {
    await dom1('network-attach web mac=00:16:3e:00:00:01');
    expect(await dom1('network-list web')).toEqual(
      done(
        'Idx BE Mac Addr.         handle state evt-ch   tx-/rx-ring-ref BE-path\n' +
          '0   0  00:16:3e:00:00:01      0     4      9   768/769         /local/domain/0/backend/vif/1/0\n',
      ),
    );
  });

  it('says what is wrong', async () => {
    await dom1('network-attach web mac=00:16:3e:00:00:01');
    expect(await dom1('network-attach web mac=00:16:3e:00:00:01')).toEqual(
      refused('the domain has a network card 0 with the address 00:16:3e:00:00:01 already; give this one another'),
    );
    expect(await dom1('network-detach web 7')).toEqual(refused('the domain has no network card 7; it has 0 (00:16:3e:00:00:01)'));
    expect(await dom1('network-attach web mac=none')).toMatchObject({ code: 65 });
  });
});

it('a domain whose process offers no devices says so', async () => {
  await using _ = await serveControl(new FakeTarget({ id: 2, name: 'bare' }), {
    directory: join(directory, 'dom1'),
    version: '0.1.0',
  });
  expect(await dom1('block-attach bare a.img,,xvda')).toEqual(refused('devices cannot be attached to this domain'));
});

// A web server in the guest, reached from the host through a forwarded port. No root, no bridge.
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { bootLinux } from 'dom1/testing';

const port = await freePort();
await using domain = await bootLinux({
  memory: '128MiB',
  modules: ['xen-netfront'],
  files: { '/www/index.html': 'served by a guest\n' },
  // A network in user mode, as QEMU's: the guest is 10.0.2.15, the host 10.0.2.2.
  vifs: [{ mac: '00:16:3e:00:00:01', forwards: [`tcp:127.0.0.1:${port}-:80`] }],
});
await domain.sh('while ! ip link set eth0 up; do sleep 0.1; done 2>/dev/null; udhcpc -i eth0 -n -q', { timeout: 30_000 });
console.log((await domain.sh('ip -4 -o addr show eth0 | grep -o "inet [0-9.]*"')).output.trim());
await domain.sh('httpd -h /www');

const response = await fetch(`http://127.0.0.1:${port}/`);
console.log(response.status, (await response.text()).trim());

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port: free } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return free;
}

// Prints:
//   inet 10.0.2.15
//   200 served by a guest

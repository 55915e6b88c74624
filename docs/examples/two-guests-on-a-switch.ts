// Two guests in one process, on one Ethernet switch: they see each other and nothing else.
import { Switch } from 'dom1';
import { bootLinux } from 'dom1/testing';

const lan = new Switch();
const boot = (name: string, mac: string) =>
  bootLinux({ name, memory: '128MiB', modules: ['xen-netfront'], vifs: [{ mac, sink: lan.port() }] });

const [alice, bob] = await Promise.all([boot('alice', '00:16:3e:00:00:0a'), boot('bob', '00:16:3e:00:00:0b')]);
await using _a = alice;
await using _b = bob;

const up = 'while ! ip link set eth0 up; do sleep 0.1; done 2>/dev/null';
await alice.sh(`${up}; ip addr add 192.168.7.1/24 dev eth0`);
await bob.sh(`${up}; ip addr add 192.168.7.2/24 dev eth0`);

// Alice listens, Bob calls. What runs in the background must not hold the console.
await alice.sh('nc -l -p 99 > /tmp/heard < /dev/null 2>&1 & sleep 0.2');
await bob.sh('echo "hello, Alice" | nc -w 5 192.168.7.1 99', { timeout: 30_000 });
const heard = await alice.sh('while [ ! -s /tmp/heard ]; do sleep 0.1; done; cat /tmp/heard', { timeout: 30_000 });
console.log(`${alice.name} heard: ${heard.output.trim()}`);
console.log(
  'addresses behind the ports of the switch:',
  lan
    .inspect()
    .map(({ addresses }) => addresses)
    .join(', '),
);

// Prints:
//   alice heard: hello, Alice
//   addresses behind the ports of the switch: 1, 1

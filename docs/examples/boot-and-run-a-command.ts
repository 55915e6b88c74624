// Boots a Linux guest, runs a command in its shell, and has it power itself off.
import { createDomain, fetchDemoGuest } from 'dom1';

// Debian's kernel and a busybox userspace, from the cache or by apt-get. With parts of your own it reads
// { kernel: 'vmlinuz', initrd: 'initrd.cpio', commandLine: 'console=hvc0' }.
const guest = await fetchDemoGuest();

// `await using` destroys the domain at the end of the program, whatever happens before.
await using domain = await createDomain(
  { type: 'pvh', name: 'example', memory: '128MiB', ...guest },
  { onProgress: ({ stage, done, total }) => done === total && console.log(`${stage}: done`) },
);
domain.on('state', ({ state }) => console.log(`the domain is ${state}`));
domain.run();

// `sh` waits for the shell's prompt, so it can be called at once.
const { output, status } = await domain.sh('cat /sys/hypervisor/type; exit 3', { timeout: 120_000 });
console.log(`the command printed ${JSON.stringify(output)} and exited with ${status}`);

domain.shutdown('poweroff'); // as `xl shutdown` does: the guest is asked, through XenStore
const { reason } = await domain.ended;
console.log(`the guest has ended: ${reason}`);

// Prints:
//   read: done
//   unpack: done
//   load: done
//   the domain is running
//   the command printed "xen\n" and exited with 3
//   the domain is shutdown
//   the guest has ended: poweroff

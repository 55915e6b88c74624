// Follows what toolstack and guest say to each other in XenStore: a request to power off, and the guest's answer.
import { bootLinux } from 'dom1/testing';

await using domain = await bootLinux({ memory: '128MiB' });
const { xenstore } = domain; // as domain 0 sees it: all of it, with every permission
const home = `/local/domain/${domain.id}`;

console.log('the guest is called', xenstore.read(`${home}/name`));

// Called once at the start, and after every change of the node or below it.
const watch = xenstore.watch(`${home}/control/shutdown`, (path) => {
  console.log(`${path} = ${JSON.stringify(xenstore.read(path))}`);
});

xenstore.transaction((view) => {
  view.write(`${home}/data/note`, 'changed together');
  view.write(`${home}/control/shutdown`, 'poweroff');
});

// The guest takes a request by emptying the node.
await xenstore.waitFor(`${home}/control/shutdown`, (value) => value === '', { timeout: 30_000 });
watch[Symbol.dispose]();
console.log(`ended by ${(await domain.ended).reason}`);

// Prints:
//   the guest is called guest
//   /local/domain/1/control/shutdown = "poweroff"
//   /local/domain/1/control/shutdown = ""
//   ended by poweroff

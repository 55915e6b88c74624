// `dom1 monitor`: stdin and stdout are the connection to a domain's monitor.
import { openControl } from '../node/connect-control.ts';
import type { Invocation } from './arguments.ts';
import type { CommandIo } from './command-io.ts';
import { EXIT_CODE } from './exit-codes.ts';
import { guessingName, placeOf } from './open-domain.ts';

export async function monitorCommand({ positionals }: Invocation, io: CommandIo): Promise<number> {
  const name = positionals[0] as string;
  const socket = await guessingName(name, () => openControl(name, placeOf(io)));
  await new Promise<void>((resolve) => {
    socket.on('error', () => {}); // 'close' follows: the domain has gone
    socket.on('close', () => resolve());
    socket.on('data', (chunk) => io.out(chunk));
    io.input.pipe(socket);
  });
  io.input.unpipe(socket);
  // A terminal or a pipe that is still open must not hold the program.
  io.input.pause();
  return EXIT_CODE.ok;
}

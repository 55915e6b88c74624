// What an input device of a guest tells its programs.
const INPUT_EVENT_BYTES = 24;
/** Of `struct input_event` on x86-64: two words of time, then type, code and value. */
const EV = { SYN: 0, KEY: 1, REL: 2, ABS: 3, MSC: 4 } as const;
const TYPE_NAMES: Readonly<Record<number, string>> = { [EV.KEY]: 'key', [EV.REL]: 'rel', [EV.ABS]: 'abs' };

/**
 * What the device of this name tells while something is done, as text: "key 30 1". Needs evdev in the guest.
 * @param sh runs a command in the guest
 */
export async function inputEvents(sh: (command: string) => Promise<string>, name: string, act: () => void): Promise<string[]> {
  const device = await sh(`grep -l '${name}' /sys/class/input/event*/device/name | cut -d / -f 5`);
  await sh(`cat /dev/input/${device} >/tmp/events & echo $! >/tmp/reader`);
  await sh(`while ! ls -l /proc/$(cat /tmp/reader)/fd | grep -q input; do sleep 0.05; done`);
  act();
  await sh('sleep 0.3; kill $(cat /tmp/reader)');
  const bytes = Buffer.from(await sh('base64 /tmp/events'), 'base64');
  const told: string[] = [];
  for (let at = 0; at < bytes.length; at += INPUT_EVENT_BYTES) {
    const [type, code, value] = [bytes.readUInt16LE(at + 16), bytes.readUInt16LE(at + 18), bytes.readInt32LE(at + 20)];
    // Synchronisation, and scan codes beside their keys.
    if (type !== EV.SYN && type !== EV.MSC) told.push(`${TYPE_NAMES[type] ?? type} ${code} ${value}`);
  }
  return told;
}

// Waiting for a guest in XenStore.
import type { Domain } from '../machine/domain.ts';
import type { WaitLimits } from '../util/bounded-wait.ts';

/**
 * Resolves with the value of a node when it is there, or when `wanted` holds of it: a value, a pattern, or a function.
 * A path that does not begin with "/" is below the domain's own directory: "device/vbd/51712/state".
 * @throws an Error named TimeoutError that tells the value it had, the signal's reason, StoreError EINVAL for a bad path
 */
export async function waitForNode(
  domain: Pick<Domain, 'id' | 'xenstore'>,
  path: string,
  wanted: string | RegExp | ((value: string) => boolean) = () => true,
  limits: WaitLimits = {},
): Promise<string> {
  const absolute = path.startsWith('/') ? path : `/local/domain/${domain.id}/${path}`;
  const holds = (value: string): boolean =>
    typeof wanted === 'function' ? wanted(value) : typeof wanted === 'string' ? value === wanted : wanted.test(value);
  let last: string | undefined;
  try {
    const found = await domain.xenstore.waitFor(
      absolute,
      (value) => {
        last = value;
        return value !== undefined && holds(value);
      },
      limits,
    );
    return found as string;
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'TimeoutError') throw error;
    const what = last === undefined ? 'it is not there' : `it is ${JSON.stringify(last)}`;
    throw Object.assign(new Error(`${error.message}; ${what}`, { cause: error }), { name: 'TimeoutError' });
  }
}

// What a person is shown of a domain's backends.
import { xenbusStateName } from '../../abi/xen/xenbus.ts';
import type { InspectTree } from '../../util/inspect/inspect-node.ts';
import type { BackendBus } from './backend-bus.ts';

/** Devices by `<frontend type>-<id>`. */
export function inspectBackends(bus: BackendBus): InspectTree {
  return Object.fromEntries(
    bus.devices.map((device) => [
      `${device.driver.frontendType}-${device.id}`,
      {
        backend: device.paths.backend,
        state: xenbusStateName(device.state),
        frontend_state: xenbusStateName(device.frontendState),
        connected: device.connected,
        online: device.online,
        ...(device.driver.inspect !== undefined && { device: () => device.driver.inspect?.() ?? {} }),
      },
    ]),
  );
}

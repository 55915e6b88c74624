import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { checkLayers } from './check-layers.js';

const roots: string[] = [];
function tree(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'layers-'));
  roots.push(root);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return root;
}
afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true });
});

describe('the layer check', () => {
  it('accepts imports that point downwards or stay in the folder', () => {
    const root = tree({
      'machine/a.ts': "import { b } from '../xen/b.ts';",
      'xen/b.ts': "import './c.ts'; import { c } from './c.ts';",
    });
    expect(checkLayers(root)).toEqual([]);
  });

  it('names an import that points upwards', () => {
    const root = tree({ 'xen/b.ts': "import { a } from '../machine/a.ts';" });
    expect(checkLayers(root)).toEqual(['xen/b.ts: xen must not import machine']);
  });

  it('names an import of a neighbour', () => {
    const root = tree({ 'devices/d.ts': "import { a } from '../cpu/a.ts';" });
    expect(checkLayers(root)).toEqual(['devices/d.ts: devices must not import cpu']);
  });

  it("keeps a host's interfaces to the folders that may use them", () => {
    const root = tree({ 'xen/b.ts': "import { x } from 'node:fs';", 'node/n.ts': "import { x } from 'node:fs';" });
    expect(checkLayers(root)).toEqual(["xen/b.ts: 'node:fs' belongs to node"]);
  });

  it('names a folder that is in no layer', () => {
    expect(checkLayers(tree({ 'misc/a.ts': '' }))).toEqual(["misc/a.ts: the folder 'misc' is in no layer"]);
  });

  it('finds nothing in this project', () => {
    expect(checkLayers('src')).toEqual([]);
  });
});

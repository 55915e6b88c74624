// The commands on a guest's screen and keyboard, against a domain that is not there behind a real socket.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { FakeTarget } from '../control/fixtures/fake-target.ts';
import { type ServedControl, serveControl } from '../node/serve-control.ts';
import { type Run, runWords } from './fixtures/run-words.ts';

let parent: string;
let directory: string;
let served: ServedControl;
let web: FakeTarget;
let told: string[];

beforeEach(async () => {
  parent = mkdtempSync(join(tmpdir(), 'dom1-display-'));
  directory = join(parent, 'dom1');
  web = new FakeTarget({ name: 'web' });
  told = [];
  web.display = { snapshot: () => ({ width: 1, height: 1, rgba: Uint8Array.of(1, 2, 3, 255) }) };
  web.input = {
    key: (code, pressed) => void told.push(`${pressed ? '+' : '-'}${code}`),
    pointer: (change) => void told.push(JSON.stringify(change)),
  };
  served = await serveControl(web, { directory, version: '0.1.0' });
});
afterEach(async () => {
  await served[Symbol.asyncDispose]();
  rmSync(parent, { recursive: true });
});

const dom1 = (...words: string[]): Promise<Run> => runWords(words, { directory });
const DONE: Run = { code: 0, stdout: '', stderr: '' };

it('screenshot writes a PNG, to stdout for -', async () => {
  const file = join(parent, 'web.png');
  expect(await dom1('screenshot', 'web', file)).toEqual(DONE);
  expect(readFileSync(file).subarray(1, 4).toString()).toBe('PNG');
  expect((await dom1('screenshot', 'web', '-')).stdout).toContain('PNG');
});

it('screenshot says what cannot be', async () => {
  expect(await dom1('screenshot', 'web', join(parent, 'none', 'x.png'))).toMatchObject({
    code: 65,
    stderr: expect.stringMatching(/^dom1: the picture cannot be written: ENOENT.*\n$/),
  });
  web.display = undefined;
  expect(await dom1('screenshot', 'web', join(parent, 'x.png'))).toMatchObject({
    code: 1,
    stderr: 'dom1: the domain has no frame buffer; add vfb = [ "vnc=0" ] to its configuration\n',
  });
});

it.each<[string[], string[]]>([
  [
    ['sendkey', 'web', 'ctrl-c', 'A', '--hold', '0'],
    ['+29', '+46', '-46', '-29', '+30', '-30'],
  ],
  [
    ['sendkey', 'web', '-t', '-e', '--hold', '0', 'A', '1'],
    ['+42', '+30', '-30', '-42', '+57', '-57', '+2', '-2', '+28', '-28'],
  ],
  [['mouse', 'web', 'move', '10', '20'], ['{"x":10,"y":20}']],
  [['mouse', 'web', 'by', '--', '-5', '3'], ['{"dx":-5,"dy":3}']],
  [['mouse', 'web', 'wheel', '2'], ['{"wheel":2}']],
  [
    ['mouse', 'web', 'click'],
    ['{"buttons":{"left":true}}', '{"buttons":{"left":false}}'],
  ],
  [['mouse', 'web', 'down', 'right'], ['{"buttons":{"right":true}}']],
  [['mouse', 'web', 'up', 'right'], ['{"buttons":{"right":false}}']],
])('%j', async (words, wanted) => {
  expect(await dom1(...words)).toEqual(DONE);
  expect(told).toEqual(wanted);
});

it.each<[string[], number, string]>([
  [['sendkey', 'web', 'contrl-c'], 1, "there is no key 'contrl'; did you mean control?"],
  [['sendkey', 'web'], 64, 'dom1 sendkey needs a keys'],
  [['sendkey', 'web', 'a', '--hold', 'x'], 64, "'x' is no time in milliseconds"],
  [['mouse', 'web', 'jump'], 64, "a mouse does not 'jump'; use move, by, wheel, down, up or click"],
  [['mouse', 'web', 'move', '1'], 64, 'mouse move takes 2 numbers; write `dom1 mouse <domain> move <x> <y>`'],
  [['mouse', 'web', 'move', '1', '2x'], 64, "'2x' is no number of pixels or steps"],
  [['mouse', 'web', 'click', 'upper'], 64, "'upper' is no button of a mouse"],
])('%j: exit code %i', async (words, code, line) => {
  const run = await dom1(...words);
  expect(run).toMatchObject({ code, stdout: '' });
  expect(run.stderr).toContain(`dom1: ${line}`);
  expect(told).toEqual([]);
});

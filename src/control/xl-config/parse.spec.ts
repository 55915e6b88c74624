import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { XlConfigError } from './config-error.ts';
import { overrideSetting } from './override.ts';
import { parseXlConfig, type XlSettings, type XlValue } from './parse.ts';

type Plain = string | Plain[];
const plain = (value: XlValue): Plain => (value.kind === 'atom' ? value.text : value.items.map(plain));
const object = (settings: XlSettings): Record<string, Plain> =>
  Object.fromEntries([...settings].map(([key, { value }]) => [key, plain(value)]));
const parse = (text: string): Record<string, Plain> => object(parseXlConfig(text, 'a.cfg'));

describe("xl's language", () => {
  it.each([
    ['', {}],
    ['\n\n;;\n', {}],
    ['name = "web"', { name: 'web' }],
    ["name='web'", { name: 'web' }],
    ['memory=512', { memory: '512' }],
    ['a = 0x1f ; b = 2', { a: '0x1f', b: '2' }],
    ['# only a comment', {}],
    ['a = 1 # behind\nb = "#not"', { a: '1', b: '#not' }],
    ['disk = []', { disk: [] }],
    ['disk = [ \'a\', "b", ]', { disk: ['a', 'b'] }],
    ["disk = [\n  # first\n  'a',\n\n  'b'\n  ,\n 'c'\n]\n", { disk: ['a', 'b', 'c'] }],
    [
      'vnuma = [ ["pnode=0", "size=512"], [ 1, [ 2 ] ] ]',
      {
        vnuma: [
          ['pnode=0', 'size=512'],
          ['1', ['2']],
        ],
      },
    ],
    ['a = 1\na = 2', { a: '2' }],
    ['extra = "quiet"\nextra += " debug"', { extra: 'quiet debug' }],
    ["disk = ['a']\ndisk += ['b']", { disk: ['a', 'b'] }],
    ['extra += "alone"', { extra: 'alone' }],
    ["a = 'it\\'s \\\"q\\\" \\\\ \\n\\t\\x41\\101'", { a: 'it\'s "q" \\ \n\tAA' }],
    ['a = "x"\r\nb = 2\r\n', { a: 'x', b: '2' }],
    ['device.model = "x"', { 'device.model': 'x' }],
  ])('%j', (text, settings) => {
    expect(parse(text)).toEqual(settings);
  });

  it.each([
    ['name = web', "a.cfg:1:8: 'web' stands where a value for name should be; put strings into quotes"],
    ['\n  name "web"', "a.cfg:2:8: a string stands where '=' after name should be; write name = value"],
    ['name =\nmemory = 1', 'a.cfg:1:7: the end of the line stands where a value for name should be; put strings into quotes'],
    ['name = "web', 'a.cfg:1:8: the string that begins here has no end; close it with " on the same line'],
    ['disk = [ "a" "b" ]', "a.cfg:1:14: a string stands where ',' or ']' in the list disk should be; the list begins on line 1"],
    ["disk = [\n'a',\n", 'a.cfg:3:1: the end of the file stands where a value for disk should be; put strings into quotes'],
    [
      'a = 1 b = 2',
      "a.cfg:1:7: 'b' stands where the end of the line after the value of a should be; begin each setting on a line of its own",
    ],
    ['Name = "x"', "a.cfg:1:1: 'N' cannot begin a key; keys are written in lower case"],
    ['a = -1', "a.cfg:1:5: a value cannot begin with '-' here; put negative numbers and options into quotes"],
    ['a = "x" \\\n', 'a.cfg:1:9: a line cannot be continued with a backslash; break the line within the brackets of a list'],
    ['import os', "a.cfg:1:8: 'os' stands where '=' after import should be; write import = value"],
    ['a = 0x1F', "a.cfg:1:8: 'F' cannot begin a key; keys are written in lower case"],
    ['x = {}', "a.cfg:1:5: '{' is not allowed here; this looks like Python; put strings into quotes"],
    ['a = "\\q"', 'a.cfg:1:5: the string has the unknown escape \\q; write \\\\ for a backslash'],
    [
      'a = ["x"]\na += "y"',
      'a.cfg:2:6: a is a list since line 1, and a string cannot be added to it; add a list, or write a = …',
    ],
    ['= 1', "a.cfg:1:1: '=' stands where the name of a setting should be; write key = value"],
    ['"x" = 1', 'a.cfg:1:1: a string stands where the name of a setting should be; write key = value'],
  ])('%j is refused', (text, message) => {
    expect(() => parse(text)).toThrow(XlConfigError);
    try {
      parse(text);
    } catch (error) {
      expect((error as Error).message).toBe(message);
    }
  });

  it('has a bound on nesting and on length', () => {
    expect(() => parse(`a = ${'['.repeat(10_000)}`)).toThrow(/nested too deeply/);
    expect(() => parse(`a = "${'x'.repeat(2 ** 20)}"`)).toThrow(/longer than/);
  });

  it('gives the place of each setting and value', () => {
    const settings = parseXlConfig('\n  disk = [\n    "a",\n  ]', 'a.cfg');
    expect(settings.get('disk')?.position).toEqual({ file: 'a.cfg', line: 2, column: 3 });
    const value = settings.get('disk')?.value;
    expect(value?.kind === 'list' && value.items[0]?.position).toEqual({ file: 'a.cfg', line: 3, column: 5 });
  });

  it('brings any strings back that were quoted', () => {
    const quote = (text: string): string => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' })), (strings) => {
        expect(parse(`a = [ ${strings.map(quote).join(', ')} ]`)).toEqual({ a: strings });
      }),
    );
  });

  it('throws nothing but its own error, whatever the text', () => {
    const word = fc.constantFrom(
      'a',
      '=',
      '+=',
      '[',
      ']',
      ',',
      ';',
      '\n',
      '"x"',
      "'",
      '"',
      '\\',
      '0x1',
      '12',
      '#',
      ' ',
      'é',
      '\0',
      'name',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(word).map((words) => words.join('')),
        ),
        (text) => {
          try {
            parse(text);
          } catch (error) {
            expect(error).toBeInstanceOf(XlConfigError);
            expect((error as Error).message).toMatch(/^a\.cfg:\d+:\d+: [^\n]+; [^\n]+$/);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('settings on the command line', () => {
  const override = (...words: string[]): Record<string, Plain> =>
    object(
      words.reduce(
        (settings, word, i) => overrideSetting(word, i, settings),
        parseXlConfig('extra = "a"\ndisk = ["x"]', 'a.cfg'),
      ),
    );

  it('replace and add to what the file says', () => {
    expect(override('memory=512', 'extra="b c"', "disk+=['y']")).toEqual({ memory: '512', extra: 'b c', disk: ['x', 'y'] });
  });

  it('need no quotes of their own', () => {
    expect(override('name=web', 'kernel=/boot/vmlinuz-6.1 x', 'extra+= b=c')).toMatchObject({
      name: 'web',
      kernel: '/boot/vmlinuz-6.1 x',
      extra: 'ab=c',
    });
    expect(override("root=/dev/xvda1 it's")).toMatchObject({ root: "/dev/xvda1 it's" });
  });

  it.each(['memory', '=5', '512', 'Memory=5'])('%s is refused', (word) => {
    expect(() => override('a=1', word)).toThrow(`command line, setting 2:1:1: '${word}' is no setting; write key=value`);
  });
});

// Everything that is wrong with a configuration is told at once, each mistake with its place.
import { describe, expect, it } from 'vitest';
import { XlConfigErrors } from './config-error.ts';
import { readDomainSpec } from './read-domain-spec.ts';

function problems(text: string, overrides: readonly string[] = []): { errors: string[]; warnings: string[] } {
  try {
    readDomainSpec(text, 'a.cfg', overrides);
  } catch (error) {
    if (!(error instanceof XlConfigErrors)) throw error;
    return { errors: error.all.map(({ message }) => message), warnings: error.warnings.map(({ message }) => message) };
  }
  return { errors: [], warnings: [] };
}
const places = (text: string, overrides?: readonly string[]): string[] =>
  problems(text, overrides).errors.map((message) => /^[^:]+:\d+:\d+/.exec(message)?.[0] ?? message);

describe('a configuration with several mistakes', () => {
  it('has each of them told, with the warnings before and behind them', () => {
    const text = `name = "a"
memroy = 5
memory = "much"
vcpus = 0
on_crash = "restrat"
colour = 1
disk = [ "a.img,raw,xvda,q", "b.img,raw,xvda", "c.img,raw,xvda" ]
vif = [ "mac=1", "mtu=1" ]
uuid = "none"`;
    const { errors, warnings } = problems(text);
    expect(errors.map((message) => message.replace(/;.*/, ''))).toEqual([
      "a.cfg:3:10: 'much' is no number for memory",
      'a.cfg:4:9: vcpus cannot be 0',
      "a.cfg:5:12: 'restrat' is no value for on_crash",
      "a.cfg:7:26: disk 'a.img,raw,xvda,q': 'q' is no access",
      'a.cfg:7:48: two disks are xvda',
      "a.cfg:8:10: vif: '1' is no MAC address",
      'a.cfg:8:19: vif: mtu cannot be 1',
      "a.cfg:9:8: 'none' is no UUID",
    ]);
    expect(warnings.map((message) => message.replace(/;.*/, ''))).toEqual([
      'a.cfg:2:1: there is no key memroy, and it is ignored',
      'a.cfg:6:1: there is no key colour, and it is ignored',
    ]);
  });

  it('is read on behind a line that is none', () => {
    expect(places('name = a\nvcpus = 0\nmemory 5\nx = (1)\nmaxmem = [ 1 ]\n"y"\nuuid = "n"')).toEqual([
      'a.cfg:1:8',
      'a.cfg:2:9',
      'a.cfg:3:8',
      'a.cfg:4:5',
      'a.cfg:5:10',
      'a.cfg:6:1',
      'a.cfg:7:8',
    ]);
  });

  it('has no further mistakes for being in a broken list', () => {
    expect(places('name = "a"\ndisk = [\n  "a.img,raw,xvda"\n  "b.img,raw,xvdb",\n  "c",\n]\nvcpus = 0')).toEqual([
      'a.cfg:4:3',
      'a.cfg:7:9',
    ]);
    expect(places('name = "a"\ndisk = [ %,\n  "b" ]\nvcpus = 0')).toEqual(['a.cfg:2:10', 'a.cfg:4:9']);
  });

  it('does not miss a name that stands in a broken line', () => {
    expect(places("name = 'a\n")).toEqual(['a.cfg:1:8']);
    expect(places('memory = 64\n')).toEqual(['a.cfg:1:1']);
  });

  it('has those of the command line at the end', () => {
    expect(places('name = "a"\nvcpus = 0', ['memory=much', 'x', 'cap=-'])).toEqual([
      'a.cfg:2:9',
      'command line, setting 1:1:8',
      'command line, setting 2:1:1',
      'command line, setting 3:1:5',
    ]);
  });
});

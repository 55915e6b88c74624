// What of a domain's specification an HVM guest is given, and what it is told that it cannot have.
import { expect, it } from 'vitest';
import { readDomainSpec } from '../control/xl-config/read-domain-spec.ts';
import { specConfig } from './spec-config.ts';

const config = (text: string) => specConfig(readDomainSpec(`name = "a"\ntype = "hvm"\n${text}`, 'a.cfg').spec);

it('has a standard VGA unless there is to be none', () => {
  expect(config('').vga).toBe('stdvga');
  expect(config('vga = "none"').vga).toBe('none');
});

it('has an emulated card for each vif that is not a PV card alone', () => {
  const { vifs = [] } = config('vif = [ "", "model=rtl8139", "type=vif,model=e1000", "type=ioemu" ]');
  expect(vifs.map(({ emulated }) => emulated)).toEqual([true, true, false, true]);
});

it.each([
  ['vga = "cirrus"', 'there is no video card cirrus here; use vga = "stdvga" or "none"'],
  ['vif = [ "model=e1000" ]', 'there is no network card e1000 here; use model=rtl8139, or type=vif for the PV card alone'],
])('refuses %s', (text, message) => {
  expect(() => config(text)).toThrow(message);
});

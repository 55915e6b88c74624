import { describe, expect, it } from 'vitest';
import { BackendGuest } from '../backends/fixtures/backend-guest.ts';
import { readDomainSpec } from '../control/xl-config/read-domain-spec.ts';
import { displayDevices, displayWarnings } from './open-display.ts';

const configured = (text: string) => readDomainSpec(`name = "a"\ntype = "pvh"\nkernel = "k"\n${text}`, 'a.cfg').spec;
const names = (text: string): string[] => {
  const { vfbs, vkbs } = configured(text);
  return displayDevices(vfbs, vkbs).map(({ type, name }) => `${type} ${name}`);
};

describe('displays of a configuration', () => {
  it.each([
    ['', []],
    ['vfb = [ "vnc=0" ]', ['vfb 0', 'vkbd 0']],
    ['vkb = [ "backend-type=qemu" ]', ['vkbd 0']],
    ['vfb = [ "vnc=1", "" ]\nvkb = [ "backend-type=qemu" ]', ['vfb 0', 'vfb 1', 'vkbd 0', 'vkbd 1', 'vkbd 2']],
  ])('%j', (text, wanted) => {
    expect(names(text)).toEqual(wanted);
  });

  it('have the nodes that the configuration asks for', () => {
    const { vfbs, vkbs } = configured(
      'vfb = [ "vnc=0,width=640,height=480" ]\nvkb = [ "unique-id=x,feature-disable-keyboard=1,multi-touch-width=9,multi-touch-height=8,multi-touch-num-contacts=7,feature-multi-touch=1,backend-type=qemu" ]',
    );
    const guest = new BackendGuest();
    for (const device of displayDevices(vfbs, vkbs)) device.attach(guest.bus);
    const read = (path: string) => guest.zero.read(`/local/domain/0/backend/${path}`);
    expect(['vfb/7/0', 'vkbd/7/0'].map((path) => `${read(`${path}/width`)} ${read(`${path}/height`)}`)).toEqual([
      '640 480',
      '640 480',
    ]);
    expect(
      ['unique-id', 'feature-disable-keyboard', 'multi-touch-width', 'multi-touch-num-contacts', 'width'].map((key) =>
        read(`vkbd/7/1/${key}`),
      ),
    ).toEqual(['x', '1', '9', '7', undefined]);
  });

  it.each(['vfb = [ "width=0" ]', 'vfb = [ "height=70000" ]', 'vkb = [ "width=0" ]'])('are never of a size as in %s', (text) => {
    const { vfbs, vkbs } = configured(text);
    expect(() => displayDevices(vfbs, vkbs)).toThrow(/^a\.cfg:4:\d+: .*not (0|70000); give another number$/);
  });
});

describe('what there is to say of displays', () => {
  it.each([
    ['vfb = [ "vnc=0,sdl=0" ]', []],
    ['vfb = [ "" ]', []],
    ['vfb = [ "width=640" ]', []],
    ['vfb = [ "vnc=0,vnclisten=0.0.0.0:1" ]', []],
    ['vfb = [ "vnc=1" ]', [/^a\.cfg:4:9: vfb: vnc=1 is not supported; dom1 screenshot/]],
    ['vfb = [ "vnc=1,vnclisten=0.0.0.0,vncpasswd=secret" ]', [/vnc=1, vnclisten=0\.0\.0\.0, vncpasswd are not supported/]],
    ['vkb = [ "feature-disable-pointer=0" ]', []],
    ['vkb = [ "feature-disable-pointer=1" ]', [/^a\.cfg:4:9: vkb: Linux crashes at the first key/]],
    ['vfb = [ "sdl=1,opengl=1" ]', [/sdl=1, opengl=1 are not/]],
  ])('%s', (text, lines) => {
    const { vfbs, vkbs } = configured(text);
    const warnings = displayWarnings(vfbs, vkbs);
    expect(warnings).toHaveLength(lines.length);
    for (const [i, line] of lines.entries()) expect(warnings[i]).toMatch(line);
  });
});

import { describe, expect, it } from 'vitest';
import { ProgressLine } from './progress-line.ts';

const MIB = 2 ** 20;

function written(stream: { isTTY: boolean; columns?: number }, show: (line: ProgressLine) => void): string {
  let text = '';
  show(
    new ProgressLine({
      ...stream,
      write: (part: string) => {
        text += part;
      },
    }),
  );
  return text;
}

const download = (line: ProgressLine): void => {
  line.parts({ stage: 'find', name: 'linux', done: 0, total: 1 });
  for (const done of [0, 5, 10]) line.parts({ stage: 'download', name: 'linux', done: done * MIB, total: 10 * MIB });
  line.parts({ stage: 'unpack', name: 'linux', done: 0, total: 1 });
  line.build({ stage: 'unpack', done: 0, total: 1 });
  line.clear();
};

describe('progress', () => {
  it('is a line for each step that takes long where there is no terminal', () => {
    expect(written({ isTTY: false }, download)).toBe('dom1: downloading linux (10.0 MiB)\ndom1: unpacking linux\n');
  });

  it('is one line on a terminal, and gone in the end', () => {
    const text = written({ isTTY: true, columns: 80 }, download);
    expect(text).not.toContain('\n');
    expect(text).toContain('\rdom1: downloading linux  10.0 MiB of 10.0 MiB\x1b[K');
    expect(text.endsWith('\r\x1b[K')).toBe(true);
  });

  it('does not wrap', () => {
    const lines = written({ isTTY: true, columns: 20 }, download).split('\r');
    expect(Math.max(...lines.map((line) => line.replace('\x1b[K', '').length))).toBeLessThan(20);
  });
});

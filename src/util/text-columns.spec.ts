import { describe, expect, it } from 'vitest';
import { textColumns } from './text-columns.ts';

describe('columns of text', () => {
  it('are as wide as their widest cell, numbers to the right', () => {
    expect(
      textColumns([
        ['name', 'id', 'state'],
        ['web', '1', 'running'],
        ['database', '12', 'paused'],
      ]),
    ).toEqual(['name      id  state', 'web        1  running', 'database  12  paused']);
  });

  it('have no blanks at their end, and rows may be short', () => {
    expect(textColumns([['a', 'b'], ['long'], ['', 'x']])).toEqual(['a     b', 'long', '      x']);
    expect(textColumns([])).toEqual([]);
  });
});

// Rows of text in aligned columns.

/** Between two columns. */
const GAP = '  ';

/**
 * One line a row. Columns are as wide as their widest cell; a column in which every cell below the first row looks like a
 * number is aligned to the right. There are no blanks at the end of a line.
 */
export function textColumns(rows: readonly (readonly string[])[]): string[] {
  const count = Math.max(0, ...rows.map((row) => row.length));
  const columns = Array.from({ length: count }, (_, column) => {
    const cells = rows.map((row) => row[column] ?? '');
    return { width: Math.max(...cells.map((cell) => cell.length)), right: cells.length > 1 && cells.slice(1).every(isNumber) };
  });
  return rows.map((row) =>
    columns
      .map(({ width, right }, i) => (right ? (row[i] ?? '').padStart(width) : (row[i] ?? '').padEnd(width)))
      .join(GAP)
      .trimEnd(),
  );
}

const isNumber = (cell: string): boolean => /^-?(\d+(\.\d+)?|0x[0-9a-f]+|-)$/.test(cell);

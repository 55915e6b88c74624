// National Semiconductor PC16550D.
import { describe, expect, it } from 'vitest';
import { nonsense } from '../fixtures/nonsense.ts';
import { ProbeLine } from '../fixtures/probe-line.ts';
import { Uart } from './uart.ts';

function make() {
  const line = new ProbeLine();
  const sent: number[] = [];
  const uart = new Uart({ interrupt: line, send: (byte) => sent.push(byte) });
  const read = (at: number) => uart.ports.read(at, 1);
  const write = (at: number, value: number) => uart.ports.write(at, 1, value);
  return { line, read, sent, uart, write };
}

it('sends at once, and has 8 registers behind the divisor bit', () => {
  const { read, sent, write } = make();
  write(3, 0x83);
  write(0, 0x01);
  write(1, 0x00);
  expect([read(0), read(1)]).toEqual([1, 0]);
  write(3, 0x03);
  write(0, 0x41);
  write(7, 0x5a);
  expect([sent, read(5), read(7)]).toEqual([[0x41], 0x60, 0x5a]);
});

describe('interrupts', () => {
  it('tell of an empty transmitter once (table 8.5)', () => {
    const { line, read, write } = make();
    write(1, 2);
    expect([line.up, read(2), line.up, read(2)]).toEqual([true, 0x02, false, 0x01]);
    write(0, 0x41);
    expect([line.up, read(2)]).toEqual([true, 0x02]);
  });

  it('tell of bytes received, at the level of the FIFO', () => {
    const { line, read, uart, write } = make();
    write(1, 1);
    write(2, 0x81);
    expect(uart.room).toBe(16);
    uart.receive(1);
    expect([line.up, read(2), read(5) & 1]).toEqual([true, 0xcc, 1]);
    for (let i = 2; i <= 8; i++) uart.receive(i);
    expect(read(2)).toBe(0xc4);
    for (let i = 1; i <= 8; i++) expect(read(0)).toBe(i);
    expect([line.up, read(5) & 1]).toEqual([false, 0]);
  });

  it('tell of an overrun', () => {
    const { read, uart, write } = make();
    write(1, 4);
    uart.receive(1);
    uart.receive(2);
    expect([read(2), read(5) & 2, read(5) & 2, read(0)]).toEqual([0x06, 2, 0, 1]);
  });
});

it('loops back (8.6.7)', () => {
  const { read, sent, write } = make();
  write(4, 0x1a);
  write(0, 0x77);
  expect([read(0), sent, read(6) & 0xf0]).toEqual([0x77, [], 0x90]);
});

it('is ready when there is room again', () => {
  let calls = 0;
  const uart = new Uart({ interrupt: new ProbeLine(), send: () => {}, ready: () => calls++ });
  uart.receive(1);
  expect(uart.room).toBe(0);
  uart.ports.read(0, 1);
  expect([calls, uart.room]).toEqual([1, 1]);
});

it('survives nonsense', () => {
  nonsense(
    () => {
      const made = make();
      return { chip: made, ranges: [{ handler: made.uart.ports, size: 8 }] };
    },
    ({ line, read, uart, write }) => {
      uart.reset();
      write(1, 1);
      uart.receive(0x33);
      expect([line.up, read(0)]).toEqual([true, 0x33]);
    },
  );
});

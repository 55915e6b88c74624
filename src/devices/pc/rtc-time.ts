// The time registers of an MC146818: seconds since 1970 as fields, in BCD or binary, with 12 or 24 hours (table 3 of the datasheet).

export interface RtcFormat {
  readonly binary: boolean;
  readonly hours24: boolean;
}

/** As a calendar has them: month 1..12, weekday 1 (Sunday) to 7. */
export interface RtcFields {
  seconds: number;
  minutes: number;
  hours: number;
  day: number;
  month: number;
  year: number;
}

const AT = { seconds: 0, minutes: 2, hours: 4, weekday: 6, day: 7, month: 8, year: 9, century: 0x32 } as const;
const PM = 0x80;

const encode = (value: number, { binary }: RtcFormat): number => (binary ? value : Math.floor(value / 10) * 16 + (value % 10));
const decode = (value: number, { binary }: RtcFormat): number => (binary ? value : (value >> 4) * 10 + (value & 15));

export function timeFields(seconds: number): RtcFields {
  const date = new Date(seconds * 1000);
  return {
    seconds: date.getUTCSeconds(),
    minutes: date.getUTCMinutes(),
    hours: date.getUTCHours(),
    day: date.getUTCDate(),
    month: date.getUTCMonth() + 1,
    year: date.getUTCFullYear(),
  };
}

/** Fields beyond their range carry over, as 31 February does: any contents are a time. */
export const fromFields = (fields: RtcFields): number =>
  Date.UTC(fields.year, fields.month - 1, fields.day, fields.hours, fields.minutes, fields.seconds) / 1000;

/** What the register at `at` shows; undefined when it is no register of the time. */
export function readField(at: number, seconds: number, format: RtcFormat): number | undefined {
  const fields = timeFields(seconds);
  switch (at) {
    case AT.seconds:
      return encode(fields.seconds, format);
    case AT.minutes:
      return encode(fields.minutes, format);
    case AT.hours: {
      if (format.hours24) return encode(fields.hours, format);
      return encode(fields.hours % 12 || 12, format) | (fields.hours >= 12 ? PM : 0);
    }
    case AT.weekday:
      return new Date(seconds * 1000).getUTCDay() + 1;
    case AT.day:
      return encode(fields.day, format);
    case AT.month:
      return encode(fields.month, format);
    case AT.year:
      return encode(fields.year % 100, format);
    case AT.century:
      return encode(Math.floor(fields.year / 100), format);
    default:
      return undefined;
  }
}

/** Puts what is written to the register at `at` into `fields`; false when it is no register of the time. The weekday is the date's. */
export function writeField(at: number, raw: number, format: RtcFormat, fields: RtcFields): boolean {
  const value = decode(raw, format);
  switch (at) {
    case AT.seconds:
      fields.seconds = value;
      return true;
    case AT.minutes:
      fields.minutes = value;
      return true;
    case AT.hours:
      fields.hours = format.hours24 ? value : (decode(raw & ~PM, format) % 12) + (raw & PM ? 12 : 0);
      return true;
    case AT.weekday:
      return true;
    case AT.day:
      fields.day = value;
      return true;
    case AT.month:
      fields.month = value;
      return true;
    case AT.year:
      fields.year = Math.floor(fields.year / 100) * 100 + value;
      return true;
    case AT.century:
      fields.year = value * 100 + (fields.year % 100);
      return true;
    default:
      return false;
  }
}

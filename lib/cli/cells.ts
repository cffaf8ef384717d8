/** What the cells of a table say: numbers, dates, nothing. */

/** How numbers are written: 1,234.5 or 1.234,5. */
export type NumberFormat = 'point' | 'comma';

/** How dates are written: 2026-03-01, 01.03.2026 or 03/01/2026. */
export type DateFormat = 'ymd' | 'dmy' | 'mdy';

const nothing = new Set(['', 'na', 'n/a', '#n/a', 'nan', 'null', 'nil', '?', 'none']);

/** Whether a cell says that there is no value. */
export const isMissing = (cell: string): boolean => nothing.has(cell.trim().toLowerCase());

const numbers: Record<NumberFormat, RegExp> = {
  point: /^([+-]?)(\d{1,3}(?:,\d{3})+|\d*)((?:\.\d*)?)((?:e[+-]?\d+)?)$/i,
  comma: /^([+-]?)(\d{1,3}(?:\.\d{3})+|\d*)((?:,\d*)?)((?:e[+-]?\d+)?)$/i,
};

/** A number, also with the signs of currencies and per cents about it; NaN for what is none, or larger than any. */
export function readNumber(cell: string, format: NumberFormat): number {
  const bare = cell
    .trim()
    .replace(/^([+-]?)\s*[$€£¥]\s*/, '$1')
    .replace(/\s*[%$€£¥]$/, '');
  const [, sign, whole, fraction, exponent] = numbers[format].exec(bare) ?? [];
  if (sign === undefined || (whole === '' && fraction.length < 2)) return Number.NaN;
  const value = Number(`${sign}${whole.replace(/[.,]/g, '')}${fraction.replace(',', '.')}${exponent}`);
  return Number.isFinite(value) ? value : Number.NaN;
}

const clock =
  /(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?\s*([AP]M)?\s*(?:Z|UTC|[+-]\d{2}:?\d{2})?)?$/i.source;
const dates: Record<DateFormat, RegExp> = {
  ymd: new RegExp(`^(\\d{4})[-/.](\\d{1,2})[-/.](\\d{1,2})${clock}`, 'i'),
  dmy: new RegExp(`^(\\d{1,2})[-/.](\\d{1,2})[-/.](\\d{4})${clock}`, 'i'),
  mdy: new RegExp(`^(\\d{1,2})[-/.](\\d{1,2})[-/.](\\d{4})${clock}`, 'i'),
};
const day = 86_400_000;

/**
 * A date in days since 1970, with the time of day as a part of one, by the clock as it is written, whatever the zone. NaN for what is
 * no date, February 30 among them.
 */
export function readDate(cell: string, format: DateFormat): number {
  const match = dates[format].exec(cell.trim());
  if (match === null) return Number.NaN;
  const [first, second, third, hour = 0, minute = 0, moment = 0] = match
    .slice(1, 7)
    .map((part) => Number(part ?? 0));
  const [year, month, date] =
    format === 'ymd'
      ? [first, second, third]
      : format === 'dmy'
        ? [third, second, first]
        : [third, first, second];
  const half = match[7]?.toUpperCase();
  const hours = half === undefined ? hour : (hour % 12) + (half === 'PM' ? 12 : 0);
  const time = Date.UTC(year, month - 1, date);
  const back = new Date(time);
  const isDay = back.getUTCMonth() === month - 1 && back.getUTCDate() === date;
  if (!isDay || hours > 23 || minute > 59 || moment > 60) return Number.NaN;
  return time / day + (hours * 3600 + minute * 60 + moment) / 86_400;
}

export const weekdays = [
  'Sunday',
  'Monday',
  'Tuesday',
  'Wednesday',
  'Thursday',
  'Friday',
  'Saturday',
] as const;

/** What the calendar says of days since 1970. */
export function calendar(days: number): {
  weekday: string;
  dayOfMonth: number;
  dayOfYear: number;
  hour: number;
} {
  const whole = Math.floor(days);
  const date = new Date(whole * day);
  return {
    weekday: weekdays[date.getUTCDay()],
    dayOfMonth: date.getUTCDate(),
    dayOfYear: whole - Date.UTC(date.getUTCFullYear(), 0, 1) / day + 1,
    hour: (days - whole) * 24,
  };
}

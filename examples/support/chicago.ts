/** Daily entries at the station Clark/Lake of Chicago's L, 2001–2016, cut into weeks to foretell and what is known before them. */
import { readFileSync } from 'node:fs';
import { type Tensor, tensor } from 'axpy';
import { parse } from 'csv-parse/sync';

/** Days that a forecast looks back on, and days that it is about. */
export const past = 28;
export const ahead = 7;

/** What the calendar says of a day: seven weekdays, two of the season, one of holidays. */
const known = 10;
/** With the entries of the day. */
export const features = known + 1;

export interface Weeks {
  /** [weeks, past, features] and [weeks, ahead, features − 1], the latter without entries. */
  x: { past: Tensor; ahead: Tensor };
  /** [weeks, ahead], in deviations of the training days from their mean, as in x. */
  y: Tensor;
}

export interface Ridership {
  train: Weeks;
  validation: Weeks;
  test: Weeks;
  /** Entries that a deviation is. */
  deviation: number;
}

/** Whether a day is one of the holidays that the station notices: fixed ones, and those on a certain Monday or Thursday. */
export function isHoliday(date: Date): boolean {
  const [month, day, weekday] = [date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCDay()];
  if (['1-1', '7-4', '12-24', '12-25', '12-31'].includes(`${month}-${day}`)) return true;
  const nth = Math.ceil(day / 7);
  if (weekday === 1) {
    const isLast = day > 24;
    return (
      ((month === 1 || month === 2) && nth === 3) || (month === 5 && isLast) || (month === 9 && nth === 1)
    );
  }
  // Thanksgiving and the day after.
  return month === 11 && ((weekday === 4 && nth === 4) || (weekday === 5 && day >= 23 && day <= 29));
}

/** What is known of a day before it comes. */
function calendar(date: Date): number[] {
  const day = (date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 0)) / 86_400_000;
  const angle = (2 * Math.PI * day) / 365.25;
  const weekday = Array.from({ length: 7 }, (_, i) => Number(i === date.getUTCDay()));
  return [...weekday, Math.sin(angle), Math.cos(angle), Number(isHoliday(date))];
}

/**
 * Learned from are weeks that end before 2013, the model is chosen by those of 2013 and 2014, and tested on those from 2015 on: each day
 * begins one. What lies before a week may lie in the part before, as it is known when the forecast is made.
 */
export function loadRidership(): Ridership {
  const file = new URL('../data/chicago.csv', import.meta.url);
  const rows: { date: string; rides: string }[] = parse(readFileSync(file), { columns: true });
  const rides = rows.map((row) => Number(row.rides));
  const days = rows.map((row) => calendar(new Date(`${row.date}T00:00Z`)));
  const first = (date: string) => rows.findIndex((row) => row.date === date);
  const [validation, test] = [first('2013-01-01'), first('2015-01-01')];
  // Nothing but training days says how large numbers are.
  const learned = rides.slice(0, validation);
  const mean = learned.reduce((sum, value) => sum + value, 0) / learned.length;
  const deviation = Math.sqrt(learned.reduce((sum, value) => sum + (value - mean) ** 2, 0) / learned.length);
  const scaled = rides.map((value) => (value - mean) / deviation);
  const part = (from: number, to: number): Weeks => {
    const begin = Math.max(from, past);
    const count = to - ahead + 1 - begin;
    const each = <T>(offset: number, length: number, of: (day: number) => T): T[][] =>
      Array.from({ length: count }, (_, i) => Array.from({ length }, (_, j) => of(begin + i + offset + j)));
    return {
      x: {
        past: tensor(each(-past, past, (day) => [scaled[day], ...days[day]])),
        ahead: tensor(each(0, ahead, (day) => days[day])),
      },
      y: tensor(each(0, ahead, (day) => scaled[day])),
    };
  };
  return {
    train: part(0, validation),
    validation: part(validation, test),
    test: part(test, rows.length),
    deviation,
  };
}

/**
 * Times as the cloud writes them, from milliseconds since 1970, without a clock or a calendar object.
 *
 * @module
 */

const DAY_MS = 86_400_000;

/** `2026-11-20T22:10:21Z`: UTC, fractions of a second cut off. `epochMs` is at least 0. */
export function isoSeconds(epochMs: number): string {
  const days = Math.floor(epochMs / DAY_MS);
  const seconds = Math.floor((epochMs - days * DAY_MS) / 1000);
  const { year, month, day } = civilDate(days);
  const time = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return `${year}-${two(month)}-${two(day)}T${time.map(two).join(":")}Z`;
}

/** `2026-11-20T22:10Z`: the form of creation times in the answers of ECS. */
export function isoMinutes(epochMs: number): string {
  return `${isoSeconds(epochMs).slice(0, 16)}Z`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

/** Proleptic Gregorian date of a day count since 1970-01-01; a year starts in March here, so that leap days come last. */
function civilDate(daysSince1970: number): { year: number; month: number; day: number } {
  const shifted = daysSince1970 + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1,
  };
}

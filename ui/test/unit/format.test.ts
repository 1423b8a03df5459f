import { describe, expect, test } from 'vitest';
import { bytes, compact, direction, fixed, metricName, percent, plural, points, signed, signedRange } from '../../src/format/number';
import { ago, day, days, duration, instant, longMoment, moment, partsIn, safeZone, span } from '../../src/format/time';

describe('figures', () => {
  test.each([
    [fixed(317972), '317,972'], [fixed(-0.034, 3), '−0.034'], [fixed(-0.0001, 3), '0.000'], [fixed(NaN), '–'], [fixed(undefined, 2), '–'],
    [signed(0.025), '+0.025'], [signed(0), '0.000'], [signed(-0.0004), '0.000'], [signedRange(-0.056, 0.012), '−0.056 to +0.012'],
    [percent(0.25), '25 %'], [percent(0.027), '2.7 %'], [percent(0.02), '2 %'], [percent(0.971, 1), '97.1 %'], [percent(0), '0 %'], [percent(null), '–'],
    [points(-0.2562), '−26 pp'],
    [compact(1016.96), '1,017'], [compact(0.0043), '0.0043'], [compact(12.5), '12.5'], [compact(2465), '2,465'], [compact(-3.14159), '−3.142'], [compact(1.2e12), '1.20e+12'],
    [bytes(999), '999 B'], [bytes(712_345), '712 KB'], [bytes(1_331_382), '1.3 MB'],
    [plural(1, 'row'), '1 row'], [plural(2300, 'row'), '2,300 rows'],
  ])('%s', (got, want) => expect(got).toBe(want));
  test('metrics know their names and their direction', () => {
    expect([metricName('log_loss'), metricName('valid.my_score')]).toEqual(['Log loss', 'Valid my score']);
    expect(['auc', 'log_loss', 'valid_loss', 'calibration_gap', 'rmse', 'n'].map(direction)).toEqual([1, -1, -1, 0, -1, 0]);
  });
});

describe('times', () => {
  const zone = 'America/New_York';
  const at = Date.parse('2013-12-11T19:00:00Z');
  test('are shown in the zone of the project', () => {
    expect(moment(at, zone)).toBe('11 Dec 14:00');
    expect(longMoment(at, zone)).toBe('Wed 11 Dec 2013, 14:00');
    expect(moment(at, zone, Date.parse('2026-01-01T00:00:00Z'))).toBe('11 Dec 2013 14:00');
    expect(partsIn(Date.parse('2013-07-01T03:30:00Z'), zone)).toMatchObject({ month: 5, day: 30, hour: 23, minute: 30 });
    expect(day(Date.parse('2013-04-01T02:00:00Z'), 'UTC')).toBe('1 Apr');
  });
  test('ranges do not repeat the month', () => {
    expect(days(Date.parse('2013-12-04T05:00:00Z'), Date.parse('2013-12-10T06:00:00Z'), zone)).toBe('4 to 10 Dec');
    expect(days(Date.parse('2013-11-25T05:00:00Z'), Date.parse('2013-12-08T06:00:00Z'), zone)).toBe('25 Nov to 8 Dec');
  });
  test.each([
    [span(820), '820 ms'], [span(2_400), '2.4 s'], [span(80_000), '1 min 20 s'], [span(3_600_000 * 26), '26 h'], [span(86_400_000 * 21), '21 d'],
    [ago(1_000, 2_000), 'now'], [ago(0, 3 * 86_400_000), '3 d ago'], [ago(86_400_000 * 3, 0), 'in 3 d'],
    [duration('168h0m0s'), '7 d'], [duration('36h'), '36 h'], [duration('7d'), '7 d'], [duration('1w'), '7 d'], [duration('1h30m'), '1 h'], [duration(''), ''],
  ])('%s', (got, want) => expect(got).toBe(want));
  test('an absent time is not the year one', () => {
    expect(instant('0001-01-01T00:00:00Z')).toBeUndefined();
    expect(instant(undefined)).toBeUndefined();
    expect(instant('2013-12-11T19:00:00Z')).toBe(at);
  });
  test('an unknown zone is UTC', () => expect([safeZone('Mars/Olympus'), safeZone(undefined), safeZone(zone)]).toEqual(['UTC', 'UTC', zone]));
});

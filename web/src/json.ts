// SPDX-License-Identifier: Apache-2.0
// Readers for JSON of unknown shape: a wrong type reads as absent, so that one bad field never blanks the page.

export type Json = Record<string, unknown>;

export function asObject(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

export function asList(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

export function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function asNumber(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

export function asTexts(value: unknown): string[] {
  return asList(value).map(asText);
}

export function asNumbers(value: unknown): number[] {
  return asList(value).map((entry) => asNumber(entry) ?? Number.NaN);
}

// SPDX-License-Identifier: Apache-2.0
// The leaderboard as the server tells it; whatever is missing reads as absent.

import { asList, asNumber, asObject, asText } from '../src/json';

export interface Entry {
  ref: string;
  title: string;
  rating: number;
  /** 95 %; null while there are too few voters for it to mean something. */
  low: number | null;
  high: number | null;
  wins: number;
  losses: number;
  ties: number;
  votes: number;
}

export interface Board {
  updatedAt: string;
  winner: string | null;
  /** Best first. */
  entries: Entry[];
}

export type Wins = ReadonlyMap<string, ReadonlyMap<string, number>>;

export function readBoard(answer: unknown): Board {
  const board = asObject(answer);
  const entries = asList(board['entries']).map(readEntry).filter((entry) => entry.ref && Number.isFinite(entry.rating));
  return {
    updatedAt: asText(board['updated_at']),
    winner: asText(board['winner']) || null,
    entries: entries.sort((a, b) => b.rating - a.rating),
  };
}

export function readWins(answer: unknown): Wins {
  const rows = Object.entries(asObject(answer));
  return new Map(rows.map(([ref, row]) => [ref, new Map(Object.entries(asObject(row)).map(([other, won]) => [other, asNumber(won) ?? 0]))]));
}

function readEntry(value: unknown): Entry {
  const entry = asObject(value);
  const ref = asText(entry['policy_ref']);
  return {
    ref,
    title: asText(entry['title']) || ref,
    rating: asNumber(entry['rating']) ?? Number.NaN,
    low: asNumber(entry['confidence_low']),
    high: asNumber(entry['confidence_high']),
    wins: asNumber(entry['wins']) ?? 0,
    losses: asNumber(entry['losses']) ?? 0,
    ties: asNumber(entry['ties']) ?? 0,
    votes: asNumber(entry['counted_votes']) ?? 0,
  };
}

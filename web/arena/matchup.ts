// SPDX-License-Identifier: Apache-2.0
// A matchup as the server tells it; whatever is missing reads as absent.

import { asObject, asText } from '../src/json';
import { ownPath } from '../pages/link';

export type SideName = 'left' | 'right';
export const SIDES: readonly SideName[] = ['left', 'right'];

export type Winner = SideName | 'both_good' | 'both_bad';
export const WINNERS: readonly Winner[] = ['left', 'right', 'both_good', 'both_bad'];

/** What stands in a name's place before one has voted (bridge/arena_answers.py). */
const HIDDEN = 'hidden until you have voted';

export interface Participant {
  title: string;
  /** Null as long as it is hidden. */
  policyRef: string | null;
  simulationId: string;
  /** Path of the pane on this site; null for a run on a robot. */
  panePath: string | null;
  /** Of a run on a robot, when it is no secret any more. */
  recording: string;
}

export interface Matchup {
  id: string;
  status: string;
  /** Why it failed. */
  error: string;
  /** By the server's clock; null before that is known. */
  voteUnlockMs: number | null;
  left: Participant;
  right: Participant;
}

/** Reads `{matchup: …}`. Throws an Error when it is none. */
export function readMatchup(answer: unknown): Matchup {
  const matchup = asObject(asObject(answer)['matchup']);
  const id = asText(matchup['id']);
  if (!id) throw new Error('The server answered with no matchup.');
  const unlockMs = Date.parse(asText(matchup['voteUnlockAt']));
  return {
    id,
    status: asText(matchup['status']),
    error: asText(matchup['error']),
    voteUnlockMs: Number.isNaN(unlockMs) ? null : unlockMs,
    left: readParticipant(matchup['left']),
    right: readParticipant(matchup['right']),
  };
}

export function isRevealed(matchup: Matchup): boolean {
  return SIDES.some((side) => matchup[side].policyRef !== null);
}

function readParticipant(value: unknown): Participant {
  const { title, policyRef, simulationId, browserUrl, recording } = asObject(value);
  const ref = asText(policyRef);
  const path = typeof browserUrl === 'string' ? ownPath(browserUrl) : null;
  return {
    title: asText(title),
    policyRef: ref && ref !== HIDDEN ? ref : null,
    simulationId: asText(simulationId),
    panePath: path?.startsWith('/arena/run/') ? path : null,
    recording: asText(recording),
  };
}

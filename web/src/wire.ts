// SPDX-License-Identifier: Apache-2.0
// What /ws/telemetry sends: cycle events as JSON, camera frames as [0x01][name length][name][jpeg].

import { asList, asNumber, asNumbers, asObject, asText, asTexts, type Json } from './json';

/** PASS < CLAMP < REJECT < FAULT. */
export const DECISIONS = ['PASS', 'CLAMP', 'REJECT', 'FAULT'] as const;
export type Decision = (typeof DECISIONS)[number];

export interface Verdict {
  check: string;
  layer: string;
  decision: Decision;
  reason: string;
}

/** Values per joint in `unit`; null where the cycle had none. */
export interface Joints {
  names: string[];
  unit: string;
  measured: number[] | null;
  proposed: number[] | null;
  executed: number[] | null;
}

/** What the simulated task's referee says. */
export interface Task {
  name: string;
  episode: number;
  successes: number;
  failures: number;
  elapsedS: number;
  limitS: number;
  isSuccess: boolean;
  isOver: boolean;
  stage: string;
}

/** One tick of an arm's guard. `isReplay` marks the history sent on connect: it is never shown as now. */
export interface Cycle {
  id: number;
  timestampS: number;
  isReplay: boolean;
  outcome: string;
  reason: string;
  state: string;
  /** NORMAL | ELEVATED | CRITICAL | EMERGENCY */
  risk: string;
  /** What the guard does about an objection; empty: nothing. */
  reaction: string;
  /** Empty while nothing runs. */
  boundaries: string[];
  sessionId: string;
  queueSteps: number;
  actionAgeS: number | null;
  deadlineMs: number | null;
  verdicts: Verdict[];
  joints: Joints;
  task: Task | null;
}

export interface Frame {
  camera: string;
  jpeg: Blob;
}

const FRAME_MAGIC = 0x01;
const FRAME_HEADER = 2;

export function rank(decision: Decision): number {
  return DECISIONS.indexOf(decision);
}

/** The cycle in a text message; null for pings and kinds this page does not know. */
export function parseCycle(text: string): Cycle | null {
  const event = asObject(JSON.parse(text));
  const id = asNumber(event['cycle_id']);
  const timestampS = asNumber(event['timestamp']);
  if (event['type'] !== 'cycle' || id === null || timestampS === null) return null;
  return {
    id,
    timestampS,
    isReplay: event['replay'] === true,
    outcome: asText(event['outcome']),
    reason: asText(event['reason']),
    state: asText(event['state']),
    risk: asText(event['risk_level']),
    reaction: asText(event['fallback_triggered']),
    boundaries: asTexts(event['active_boundaries']),
    sessionId: asText(event['session_id']),
    queueSteps: asNumber(event['queue_steps']) ?? 0,
    actionAgeS: asNumber(event['action_age_s']),
    deadlineMs: asNumber(asObject(event['perf'])['deadline_ms']),
    verdicts: asList(event['guard_statuses']).map(parseVerdict),
    joints: parseJoints(asObject(event['joints'])),
    task: event['task'] ? parseTask(asObject(event['task'])) : null,
  };
}

/** The camera frame in a binary message; null when it is not one. */
export function parseFrame(buffer: ArrayBuffer): Frame | null {
  const head = new Uint8Array(buffer, 0, Math.min(FRAME_HEADER, buffer.byteLength));
  const nameLength = head[1];
  if (head[0] !== FRAME_MAGIC || nameLength === undefined) return null;
  const start = FRAME_HEADER + nameLength;
  if (buffer.byteLength <= start) return null;
  const camera = new TextDecoder().decode(new Uint8Array(buffer, FRAME_HEADER, nameLength));
  return { camera, jpeg: new Blob([new Uint8Array(buffer, start)], { type: 'image/jpeg' }) };
}

function parseVerdict(value: unknown): Verdict {
  const verdict = asObject(value);
  const decision = DECISIONS.find((known) => known === verdict['decision']);
  return {
    check: asText(verdict['name']),
    layer: asText(verdict['layer']),
    // A word this page does not know must not look harmless.
    decision: decision ?? 'FAULT',
    reason: asText(verdict['reason']),
  };
}

function parseJoints(joints: Json): Joints {
  const names = asTexts(joints['names']);
  const column = (key: string): number[] | null => {
    const values = asNumbers(joints[key]);
    return values.length === names.length && names.length > 0 ? values : null;
  };
  return {
    names,
    unit: asText(joints['unit']),
    measured: column('measured'),
    proposed: column('proposed'),
    executed: column('executed'),
  };
}

/** The referee's state; shared with GET /api/arms. */
export function parseTask(task: Json): Task {
  return {
    name: asText(task['task']),
    episode: asNumber(task['episode']) ?? 0,
    successes: asNumber(task['successes']) ?? 0,
    failures: asNumber(task['failures']) ?? 0,
    elapsedS: asNumber(task['elapsed_s']) ?? 0,
    limitS: asNumber(task['time_limit_s']) ?? 0,
    isSuccess: task['is_success'] === true,
    isOver: task['is_over'] === true,
    stage: asText(task['stage']),
  };
}

// SPDX-License-Identifier: Apache-2.0
// The bridge's REST answers this page reads, as typed values.

import { asList, asNumber, asObject, asText, asTexts, type Json } from './json';
import { request } from './rest';
import { DECISIONS, type Decision } from './wire';

const READ_TIMEOUT_MS = 2500;
/** The bridge waits up to 60 s for a policy to load before it answers a start. */
const START_TIMEOUT_MS = 70_000;
const STOP_TIMEOUT_MS = 15_000;
const RESET_TIMEOUT_MS = 15_000;

export interface Arm {
  name: string;
  cameras: string[];
  backend: string;
}

/** An arm's guard as /api/control/status tells it. */
export interface Control {
  /** Empty when the guard does not report: its last state says nothing about now. */
  state: string;
  isLatched: boolean;
  message: string;
  /** The session that a start would mean to the guard now, and what it would be refused for. */
  sessionId: string;
  notReady: string[];
  sink: string;
  rateHz: number | null;
  /** Why this guard does not keep the arm safe; empty when it does. */
  warning: string;
  /** The task that runs, else the one a start would mean, and what guards it. */
  task: string;
  boundaries: string[];
}

export interface Stage {
  name: string;
  p50Ms: number | null;
  p95Ms: number | null;
  p99Ms: number | null;
}

export interface Session {
  id: string;
  arm: string;
  status: string;
  errorMessage: string;
  policyStages: Stage[];
  guardStages: Stage[];
  /** Its cycles by what the guard decided. */
  decisions: Map<Decision, number>;
  lateCycles: number | null;
}

export async function readArms(): Promise<Arm[]> {
  const body = await request('GET', '/api/arms', READ_TIMEOUT_MS);
  return asList(asObject(body)['arms']).map(asObject).map(parseArm);
}

export async function readControl(arm: string): Promise<Control> {
  return parseControl(asObject(await request('GET', `/api/control/status?arm=${encodeURIComponent(arm)}`, READ_TIMEOUT_MS)));
}

export async function readSessions(): Promise<Session[]> {
  return asList(await request('GET', '/sessions', READ_TIMEOUT_MS)).map(asObject).map(parseSession);
}

export async function startSession(id: string): Promise<void> {
  await request('POST', `/sessions/${encodeURIComponent(id)}/start`, START_TIMEOUT_MS);
}

export async function stopSession(id: string): Promise<void> {
  await request('POST', `/sessions/${encodeURIComponent(id)}/stop`, STOP_TIMEOUT_MS);
}

export async function pauseArm(arm: string): Promise<void> {
  await request('POST', `/api/control/pause?arm=${encodeURIComponent(arm)}`, STOP_TIMEOUT_MS);
}

export async function resumeArm(arm: string): Promise<void> {
  await request('POST', `/api/control/resume?arm=${encodeURIComponent(arm)}`, STOP_TIMEOUT_MS);
}

export async function resetArm(arm: string): Promise<void> {
  await request('POST', `/api/control/reset?arm=${encodeURIComponent(arm)}`, RESET_TIMEOUT_MS);
}

export async function resetScene(arm: string): Promise<void> {
  await request('POST', `/api/arms/${encodeURIComponent(arm)}/scene/reset`, RESET_TIMEOUT_MS);
}

function parseArm(arm: Json): Arm {
  return {
    name: asText(arm['arm']),
    cameras: asTexts(arm['cameras']),
    backend: asText(asObject(arm['embodiment'])['backend']),
  };
}

function parseControl(control: Json): Control {
  return {
    state: control['is_alive'] === true ? asText(control['state']) : '',
    isLatched: control['estop_latched'] === true,
    message: asText(control['message']),
    sessionId: asText(control['session_id']),
    notReady: asTexts(control['not_ready']),
    sink: asText(control['sink']),
    rateHz: asNumber(control['control_frequency_hz']),
    warning: asText(control['warning']),
    task: asText(control['planned_task']),
    boundaries: asTexts(control['active_task'] === null ? control['planned_boundaries'] : control['active_boundaries']),
  };
}

function parseSession(session: Json): Session {
  const stats = asObject(session['stats']);
  const inference = asObject(session['inference_stats']);
  const decisions = asObject(stats['decisions']);
  return {
    id: asText(session['session_id']),
    arm: asText(asObject(asObject(session['rooms'])['topics'])['arm']),
    status: asText(session['status']),
    errorMessage: asText(session['error_message']),
    policyStages: parseStages(inference['stages']),
    guardStages: parseStages(inference['guard_stages']),
    decisions: new Map(DECISIONS.map((decision) => [decision, asNumber(decisions[decision]) ?? 0])),
    lateCycles: asNumber(stats['late_cycles']),
  };
}

function parseStages(value: unknown): Stage[] {
  return Object.entries(asObject(value)).map(([name, stage]) => parseStage(name, asObject(stage)));
}

function parseStage(name: string, stage: Json): Stage {
  return {
    name,
    p50Ms: asNumber(stage['p50']),
    p95Ms: asNumber(stage['p95']),
    p99Ms: asNumber(stage['p99']),
  };
}

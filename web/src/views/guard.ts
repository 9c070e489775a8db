// SPDX-License-Identifier: Apache-2.0
// The guard's answers: the worst per check of the last second, and the interventions lately.

import { byId, create, setData, setText } from '../dom';
import { ABSENT, formatName, formatTime } from '../format';
import type { Control, Session } from '../api';
import { rank, type Cycle, type Decision, type Verdict } from '../wire';

const WORST_WINDOW_S = 1;
/** Equal interventions closer together than this are one entry. */
const MERGE_S = 1.5;
const KEPT = 40;

interface Intervention {
  key: string;
  verdict: Verdict;
  firstS: number;
  lastS: number;
  count: number;
}

/** Interventions of the cycles seen, merged while they go on. */
export class Interventions {
  readonly entries: Intervention[] = [];
  version = 0;

  add(cycle: Cycle): void {
    for (const verdict of cycle.verdicts) {
      if (verdict.decision === 'PASS') continue;
      this.merge(verdict, cycle.timestampS);
    }
  }

  clear(): void {
    this.entries.length = 0;
    this.version++;
  }

  private merge(verdict: Verdict, stampS: number): void {
    const key = `${verdict.check} ${verdict.decision}`;
    const open = this.entries.find((entry) => entry.key === key && Math.abs(stampS - entry.lastS) < MERGE_S);
    this.version++;
    if (!open) {
      this.entries.unshift({ key, verdict, firstS: stampS, lastS: stampS, count: 1 });
      this.entries.length = Math.min(this.entries.length, KEPT);
      return;
    }
    open.count++;
    open.lastS = stampS;
    open.verdict = verdict;
  }
}

export class GuardView {
  private readonly panel = byId('guard', HTMLElement);
  private readonly checks = byId('checks', HTMLElement);
  private readonly notable = byId('notable', HTMLElement);
  private readonly risk = byId('risk', HTMLElement);
  private readonly reaction = byId('reaction', HTMLElement);
  private readonly boundariesOf = byId('boundaries-of', HTMLElement);
  private readonly boundaries = byId('boundaries', HTMLElement);
  private readonly totals = byId('guard-totals', HTMLElement);
  private readonly chips = new Map<string, HTMLElement>();
  private drawnVersion = -1;

  render(cycles: readonly Cycle[], interventions: Interventions, session: Session | null, isLive: boolean): void {
    setData(this.panel, 'stale', isLive ? null : 'true');
    setText(this.totals, session ? totalsText(session.decisions) : '');
    for (const [check, verdict] of worstLately(cycles)) this.renderChip(check, verdict);
    if (this.drawnVersion !== interventions.version) {
      this.drawnVersion = interventions.version;
      this.notable.replaceChildren(...rows(interventions.entries));
    }
  }

  /** How worried the guard is, what it does about it, and by what it judges. `cycle` is null when none is fresh. */
  renderSituation(cycle: Cycle | null, control: Control | null): void {
    setText(this.risk, cycle?.risk ? cycle.risk.toLowerCase() : ABSENT);
    setData(this.risk, 'risk', cycle?.risk || null);
    setText(this.reaction, cycle ? formatName(cycle.reaction) || 'none' : ABSENT);
    setData(this.reaction, 'active', cycle?.reaction ? 'true' : null);
    const names = cycle && cycle.boundaries.length > 0 ? cycle.boundaries : (control?.boundaries ?? []);
    const text = names.map(formatName).join(' · ');
    setText(this.boundariesOf, control?.task ? `Boundaries of task ${control.task}` : 'Boundaries');
    setText(this.boundaries, text || ABSENT);
    this.boundaries.title = text;
  }

  /** Another arm has other checks. */
  clear(): void {
    this.chips.clear();
    this.checks.replaceChildren();
  }

  private renderChip(check: string, verdict: Verdict): void {
    let chip = this.chips.get(check);
    if (!chip) {
      chip = create('li', 'check');
      chip.append(create('span', 'layer'), create('span', 'name'), create('b', 'decision'));
      this.chips.set(check, chip);
      this.checks.append(chip);
    }
    const [layer, name, decision] = Array.from(chip.children);
    if (layer) setText(layer, verdict.layer);
    if (name) setText(name, formatName(check));
    if (decision) setText(decision, verdict.decision);
    setData(chip, 'decision', verdict.decision);
    chip.title = verdict.reason;
  }
}

function worstLately(cycles: readonly Cycle[]): Map<string, Verdict> {
  const worst = new Map<string, Verdict>();
  const sinceS = (cycles.at(-1)?.timestampS ?? 0) - WORST_WINDOW_S;
  for (const cycle of cycles) {
    if (cycle.timestampS < sinceS) continue;
    for (const verdict of cycle.verdicts) {
      const known = worst.get(verdict.check);
      if (!known || rank(verdict.decision) >= rank(known.decision)) worst.set(verdict.check, verdict);
    }
  }
  return worst;
}

function rows(entries: readonly Intervention[]): HTMLElement[] {
  if (entries.length === 0) return [create('li', 'none', 'Nothing was changed or refused.')];
  return entries.map((entry) => {
    const row = create('li');
    const decision = create('b', 'decision', entry.verdict.decision);
    setData(row, 'decision', entry.verdict.decision);
    const times = entry.count > 1 ? ` ×${entry.count}` : '';
    row.append(
      create('time', '', formatTime(entry.firstS)),
      decision,
      create('span', 'what', `${formatName(entry.verdict.check)}${times}`),
      create('span', 'why', entry.verdict.reason),
    );
    return row;
  });
}

/** `PASS 98.2 % · CLAMP 1.8 %` of all cycles the session ran; kinds that never occurred are left out. */
function totalsText(decisions: ReadonlyMap<Decision, number>): string {
  const sum = Array.from(decisions.values()).reduce((total, count) => total + count, 0);
  return Array.from(decisions)
    .filter(([, count]) => count > 0)
    .map(([decision, count]) => `${decision} ${share(count, sum)}`)
    .join(' · ');
}

function share(count: number, sum: number): string {
  const percent = (100 * count) / sum;
  if (percent === 100) return '100 %';
  return percent < 0.1 ? '<0.1 %' : `${Math.min(percent, 99.9).toFixed(1)} %`;
}

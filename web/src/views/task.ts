// SPDX-License-Identifier: Apache-2.0
// The simulated task's score, as its referee keeps it.

import { byId, setData, setText } from '../dom';
import { ABSENT, formatName } from '../format';
import type { Task } from '../wire';

export class TaskView {
  private readonly panel = document.querySelector<HTMLElement>('.panel.task');
  private readonly name = byId('task-name', HTMLElement);
  private readonly rate = byId('task-rate', HTMLElement);
  private readonly successes = byId('task-successes', HTMLElement);
  private readonly failures = byId('task-failures', HTMLElement);
  private readonly episode = byId('task-episode', HTMLElement);
  private readonly progress = byId('task-progress', HTMLElement);
  private readonly stage = byId('task-stage', HTMLElement);
  private readonly elapsed = byId('task-elapsed', HTMLElement);

  render(task: Task | null, isLive: boolean): void {
    if (this.panel) setData(this.panel, 'stale', isLive || !task ? null : 'true');
    const over = (task?.successes ?? 0) + (task?.failures ?? 0);
    setText(this.name, task ? formatName(task.name) : 'this arm has no referee');
    setText(this.rate, task && over > 0 ? `${Math.round((100 * task.successes) / over)} %` : ABSENT);
    setText(this.successes, task ? String(task.successes) : ABSENT);
    setText(this.failures, task ? String(task.failures) : ABSENT);
    setText(this.episode, task ? String(task.episode) : ABSENT);
    setText(this.stage, task ? stageText(task) : ABSENT);
    setText(this.elapsed, task ? `${task.elapsedS.toFixed(1)} of ${task.limitS.toFixed(0)} s` : '');
    this.renderProgress(task);
  }

  private renderProgress(task: Task | null): void {
    const percent = task && task.limitS > 0 ? Math.min(100, (100 * task.elapsedS) / task.limitS) : 0;
    setData(this.progress, 'result', task?.isSuccess ? 'success' : task?.isOver ? 'missed' : null);
    this.progress.ariaValueNow = percent.toFixed(0);
    const bar = this.progress.firstElementChild;
    if (bar instanceof HTMLElement) bar.style.width = `${percent.toFixed(1)}%`;
  }
}

function stageText(task: Task): string {
  if (task.isSuccess) return 'Done';
  return task.isOver ? 'Missed: out of time' : formatName(task.stage) || ABSENT;
}

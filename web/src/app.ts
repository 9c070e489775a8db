// SPDX-License-Identifier: Apache-2.0
// The page as one thing: what comes in changes the model, ten times a second the views show it.

import { pauseArm, readArms, readControl, readSessions, resetArm, resetScene, resumeArm, startSession, stopSession } from './api';
import { logOut, takeFirstAdminSecret } from './account';
import { credential } from './credential';
import { byId, setOptions } from './dom';
import { EmergencyStop } from './estop';
import { Model } from './model';
import { Notice } from './notice';
import { poll } from './poll';
import { RequestFailed } from './rest';
import { Telemetry } from './telemetry';
import { CamerasView } from './views/cameras';
import { EstopView } from './views/estop';
import { GuardView, Interventions } from './views/guard';
import { JointsView } from './views/joints';
import { LoginView } from './views/login';
import { SessionView } from './views/session';
import { StripView } from './views/strip';
import { TaskView } from './views/task';
import { TimingView } from './views/timing';
import type { Cycle } from './wire';

const POLL_MS = 800;
const DRAW_MS = 100;

export class App {
  private readonly model = new Model();
  private readonly interventions = new Interventions();
  private readonly estop = new EmergencyStop();
  private readonly notice = new Notice();
  private readonly cameras = new CamerasView(
    [byId('camera-0', HTMLElement), byId('camera-1', HTMLElement)],
    byId('swap', HTMLButtonElement),
  );
  private readonly armSelect = byId('arm', HTMLSelectElement);
  private readonly armPick = byId('arm-pick', HTMLElement);
  private readonly scene = byId('scene', HTMLButtonElement);
  private readonly strip = new StripView();
  private readonly joints = new JointsView();
  private readonly guard = new GuardView();
  private readonly timing = new TimingView();
  private readonly task = new TaskView();
  private readonly session = new SessionView({
    choose: (id) => {
      this.model.sessionId = id;
      this.model.isSessionPicked = true;
      this.timing.clear();
      this.draw();
    },
    start: () => this.onSession('starting', startSession),
    stop: () => this.onSession('stopping', stopSession),
    pause: () => this.onArm('pausing', pauseArm),
    resume: () => this.onArm('resuming', resumeArm),
  });
  private readonly estopView = new EstopView(this.estop, () => this.draw(), () => void this.reset());
  private readonly telemetry = new Telemetry({
    onCycle: (cycle) => this.receive(cycle),
    onFrame: (frame) => void this.cameras.receive(frame, performance.now()),
  });
  private readonly login = new LoginView(
    takeFirstAdminSecret(),
    () => void this.refresh(),
    () => void this.leave(),
  );
  private pendingVerb = '';
  private isResetting = false;

  run(): void {
    this.armSelect.addEventListener('change', () => this.chooseArm(this.armSelect.value));
    this.scene.addEventListener('click', () => void this.newScene());
    poll(() => this.refresh(), POLL_MS);
    window.setInterval(() => this.draw(), DRAW_MS);
  }

  private receive(cycle: Cycle): void {
    if (this.model.addCycle(cycle, performance.now())) this.interventions.add(cycle);
  }

  /** Log out: what was on show was for whom it was shown. */
  private async leave(): Promise<void> {
    try {
      await logOut();
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error;
    }
    this.draw();
  }

  private forget(): void {
    this.telemetry.forget();
    this.cameras.forget();
    this.model.forget();
    this.interventions.clear();
    this.guard.clear();
    this.timing.clear();
  }

  private async refresh(): Promise<void> {
    if (credential.isNeeded) return this.forget();
    try {
      this.model.arms = await readArms();
      const known = this.model.arms.some((arm) => arm.name === this.model.arm);
      const first = this.model.arms[0];
      if (!known && first) this.chooseArm(first.name);
      const arm = this.model.arm;
      const [sessions, control] = await Promise.all([readSessions(), arm === null ? null : readControl(arm)]);
      this.model.sessions = sessions;
      if (control && arm === this.model.arm) this.model.control = { value: control, at: performance.now() };
      this.model.isRestUp = true;
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error;
      // An answer that refuses is still a bridge; no answer is none.
      this.model.isRestUp = error.status !== 0;
      if (error.status === 403) this.notice.show(error.message);
    }
    this.model.chooseSession();
    this.followArm();
  }

  private chooseArm(arm: string): void {
    if (arm === this.model.arm) return;
    this.model.chooseArm(arm);
    this.interventions.clear();
    this.guard.clear();
    this.timing.clear();
    this.cameras.forget();
    this.model.chooseSession();
    this.followArm();
  }

  private followArm(): void {
    const arm = this.model.arms.find((entry) => entry.name === this.model.arm);
    if (!arm) return;
    this.cameras.show(arm.cameras);
    this.telemetry.follow(arm.name, arm.cameras);
  }

  private onSession(verb: string, act: (id: string) => Promise<void>): void {
    const id = this.model.sessionId;
    if (id !== null) this.pending(verb, () => act(id));
  }

  private onArm(verb: string, act: (arm: string) => Promise<void>): void {
    const arm = this.model.arm;
    if (arm !== null) this.pending(verb, () => act(arm));
  }

  private pending(verb: string, act: () => Promise<void>): void {
    this.pendingVerb = verb;
    void this.ask(act).finally(() => {
      this.pendingVerb = '';
    });
    this.draw();
  }

  private async reset(): Promise<void> {
    const arm = this.model.arm;
    if (arm === null) return;
    this.isResetting = true;
    if (await this.ask(() => resetArm(arm))) this.estop.clear();
    this.isResetting = false;
    this.draw();
  }

  private async newScene(): Promise<void> {
    const arm = this.model.arm;
    if (arm !== null) await this.ask(() => resetScene(arm));
  }

  /** Ask the bridge; true when it did it, else its reason is shown. */
  private async ask(act: () => Promise<void>): Promise<boolean> {
    try {
      await act();
      this.notice.hide();
      return true;
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error;
      this.notice.show(error.message);
      return false;
    } finally {
      await this.refresh();
    }
  }

  private draw(): void {
    const now = performance.now();
    const { model } = this;
    this.login.render(Date.now());
    model.isSocketOpen = this.telemetry.isOpen;
    model.isLoginNeeded = credential.isNeeded;
    const isLive = model.health(now) === 'live';
    const state = model.state(now);
    const control = model.freshControl(now);
    const newestS = model.cycles.at(-1)?.timestampS ?? 0;
    const endS = model.live ? model.live.value.timestampS + (now - model.live.at) / 1000 : newestS;
    this.estop.settle(state, now);
    this.strip.render(model, this.estop, now);
    this.estopView.render(state, this.isResetting);
    this.session.render(model.sessionsHere(), model.session(), { pending: this.pendingVerb, state, isLive });
    this.cameras.render(now);
    this.task.render(model.task, isLive);
    this.joints.render(model.cycles, endS, isLive);
    this.guard.render(model.cycles, this.interventions, model.session(), isLive);
    this.guard.renderSituation(isLive ? model.live?.value ?? null : null, control);
    this.timing.render(model.cycles, endS, { control, session: model.session(), isLive });
    this.armPick.hidden = model.arms.length < 2;
    setOptions(this.armSelect, model.arms.map((arm) => arm.name), model.arm);
    this.scene.hidden = !model.task;
  }
}

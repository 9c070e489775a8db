// SPDX-License-Identifier: Apache-2.0
// The form that stands where the page is, when the bridge asks who one is; and who one is, beside the title.

import { becomeFirstAdmin, logIn } from '../account';
import { credential } from '../credential';
import { byId, setText } from '../dom';
import { RequestFailed } from '../rest';

const SOON_MIN = 10;
const LEAST_CHARS = 10;

export class LoginView {
  private readonly place = byId('login', HTMLElement);
  private readonly page = byId('page', HTMLElement);
  private readonly form = byId('login-form', HTMLFormElement);
  private readonly title = byId('login-title', HTMLElement);
  private readonly hint = byId('login-hint', HTMLElement);
  private readonly name = byId('login-name', HTMLInputElement);
  private readonly password = byId('login-password', HTMLInputElement);
  private readonly problem = byId('login-problem', HTMLElement);
  private readonly submit = byId('login-submit', HTMLButtonElement);
  private readonly who = byId('account', HTMLElement);
  private readonly whoName = byId('account-name', HTMLElement);

  constructor(
    private secret: string,
    private readonly done: () => void,
    onLogOut: () => void,
  ) {
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.send();
    });
    byId('log-out', HTMLButtonElement).addEventListener('click', onLogOut);
    if (secret) credential.isNeeded = true;
  }

  render(nowMs: number): void {
    const isShown = credential.isNeeded;
    const wasShown = !this.place.hidden;
    this.place.hidden = !isShown;
    this.page.hidden = isShown;
    if (isShown && !wasShown) this.open();
    const left = credential.minutesLeft(nowMs);
    this.who.hidden = left === null;
    const isSoon = left !== null && left < SOON_MIN;
    setText(this.whoName, isSoon ? `${credential.name}, ${Math.ceil(left)} min left` : credential.name);
    this.who.dataset['soon'] = String(isSoon);
  }

  private open(): void {
    const isFirst = this.secret !== '';
    setText(this.title, isFirst ? 'Become the first admin' : 'Log in');
    setText(
      this.hint,
      isFirst
        ? `Choose a name (small letters, digits, hyphens) and a password of at least ${LEAST_CHARS} characters.`
        : 'This bridge answers nobody it does not know. An admin makes accounts: arena users create NAME.',
    );
    setText(this.submit, isFirst ? 'Create the account' : 'Log in');
    this.password.autocomplete = isFirst ? 'new-password' : 'current-password';
    this.password.minLength = isFirst ? LEAST_CHARS : 1;
    setText(this.problem, '');
    this.name.focus();
  }

  private async send(): Promise<void> {
    this.submit.disabled = true;
    setText(this.problem, '');
    try {
      const [name, password] = [this.name.value.trim(), this.password.value];
      await (this.secret ? becomeFirstAdmin(this.secret, name, password) : logIn(name, password));
      this.secret = '';
      this.form.reset();
      this.done();
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error;
      // Somebody has an account by now, so that the link is used up.
      if (this.secret && error.status === 409) {
        this.secret = '';
        this.open();
      }
      setText(this.problem, error.message);
      this.password.select();
    } finally {
      this.submit.disabled = false;
    }
  }
}

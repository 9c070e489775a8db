// SPDX-License-Identifier: Apache-2.0
// What an owner has published, to be searched and run.

import '../src/style/base.css';
import '../pages/style/pages.css';
import './style/owner.css';
import { ask, said } from '../pages/ask';
import { refLink } from '../pages/link';
import { when } from '../pages/when';
import { byId, create, setText } from '../src/dom';
import { type Published, readItems } from './items';

const KINDS = ['policies', 'checkpoints', 'robots', 'scenes'] as const;
type Kind = (typeof KINDS)[number];
const MOST_LISTED = 500;
const SETTLE_MS = 200;

const owner = ownerOf(window.location.pathname);
const search = byId('search', HTMLInputElement);
let asked = 0;
let timer = 0;

async function list(kind: Kind, words: string): Promise<Published[]> {
  const query = new URLSearchParams({ owner, limit: String(MOST_LISTED), ...(words ? { q: words } : {}) });
  return readItems(await ask('GET', `/api/catalog/${kind}?${query}`));
}

/** Robots and scenes that some policy, of whomever, runs with: they can be opened by themselves. */
async function used(): Promise<ReadonlySet<string>> {
  const policies = readItems(await ask('GET', `/api/catalog/policies?limit=${MOST_LISTED}`));
  return new Set(policies.flatMap((policy) => (policy.robotRef ? [policy.robotRef, policy.sceneRef] : [])));
}

async function look(): Promise<void> {
  asked += 1;
  const mine = asked;
  const words = search.value.trim();
  const problem = byId('problem', HTMLElement);
  try {
    const [inUse, ...found] = await Promise.all([used(), ...KINDS.map((kind) => list(kind, words))]);
    if (mine !== asked) return;
    problem.hidden = true;
    KINDS.forEach((kind, index) => show(kind, found[index] ?? [], inUse));
    const count = found.reduce((sum, items) => sum + items.length, 0);
    setText(byId('count', HTMLElement), sentence(count, words));
  } catch (reason) {
    if (mine !== asked) return;
    setText(problem, said(reason));
    problem.hidden = false;
  }
}

function sentence(count: number, words: string): string {
  if (words) return count === 0 ? `Nothing of ${owner} matches “${words}”.` : `${count} found.`;
  return count === 0 ? `${owner} has published nothing here.` : '';
}

function show(kind: Kind, items: readonly Published[], inUse: ReadonlySet<string>): void {
  const section = byId(kind, HTMLElement);
  section.hidden = items.length === 0;
  setText(byId(`${kind}-count`, HTMLElement), items.length === MOST_LISTED ? `the last ${MOST_LISTED}` : String(items.length));
  byId(`${kind}-list`, HTMLElement).replaceChildren(...items.map((item) => card(kind, item, inUse)));
}

function card(kind: Kind, item: Published, inUse: ReadonlySet<string>): HTMLElement {
  const made = create('li', 'card');
  if (item.previewPath) {
    const picture = create('img');
    picture.src = item.previewPath;
    picture.alt = '';
    picture.loading = 'lazy';
    made.append(picture);
  }
  const canRun = kind === 'policies' ? item.robotRef !== '' : inUse.has(item.ref);
  const name = create('h3');
  name.append(canRun ? refLink(item.ref, item.title) : item.title);
  made.append(name, create('p', 'ref', item.ref));
  if (item.description) made.append(create('p', 'about', item.description));
  if (kind === 'policies') made.append(place(item));
  else if (kind === 'checkpoints') made.append(session(item));
  else if (!canRun) made.append(create('p', 'place', 'No policy runs with it yet.'));
  const state = item.status === 'active' ? '' : `${item.status} · `;
  made.append(create('p', 'aside', `${state}version ${item.version} · ${when(item.updatedAt)}`));
  return made;
}

/** Where a policy runs by itself. */
function place({ ref, robotRef, sceneRef }: Published): HTMLElement {
  const made = create('p', 'place');
  if (!robotRef) {
    made.append(`Names no robot: open /${ref}/<robot>/<scene>.`);
    return made;
  }
  made.append('on ', refLink(robotRef));
  if (sceneRef) made.append(' in ', refLink(sceneRef));
  return made;
}

/** A checkpoint runs in a session, on an arm. */
function session({ policyPath, policyType }: Published): HTMLElement {
  const made = create('p', 'place');
  made.append(policyType ? `${policyType} · in a session: ` : 'In a session: ', create('code', '', `--policy ${policyPath}`));
  return made;
}

function ownerOf(path: string): string {
  const first = path.split('/')[1] ?? '';
  try {
    return decodeURIComponent(first);
  } catch {
    return first;
  }
}

function begin(): void {
  document.title = `${owner} · lerobot arena`;
  setText(byId('owner', HTMLElement), owner);
  search.value = new URLSearchParams(window.location.search).get('q') ?? '';
  search.addEventListener('input', () => {
    window.clearTimeout(timer);
    timer = window.setTimeout(() => {
      const words = search.value.trim();
      window.history.replaceState(null, '', words ? `?${new URLSearchParams({ q: words })}` : window.location.pathname);
      void look();
    }, SETTLE_MS);
  });
  void look();
}

begin();

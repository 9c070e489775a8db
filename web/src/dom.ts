// SPDX-License-Identifier: Apache-2.0
// The few DOM moves the views share. Writing only what changed keeps layout and screen readers quiet.

/** The element with this id, of the class the caller expects. Throws when index.html and a view disagree. */
export function byId<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`index.html has no ${kind.name} #${id}`);
  return found;
}

/** A new element with a class and text. */
export function create<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = '',
  text = '',
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

export function setText(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

/** Set or remove a data attribute, which the style sheet keys on. */
export function setData(node: HTMLElement, name: string, value: string | null): void {
  if (value === null) delete node.dataset[name];
  else if (node.dataset[name] !== value) node.dataset[name] = value;
}

/** Replace the options of a select when they differ, and keep the choice. */
export function setOptions(select: HTMLSelectElement, values: readonly string[], chosen: string | null): void {
  const present = Array.from(select.options, (option) => option.value);
  if (present.join('\n') !== values.join('\n')) {
    select.replaceChildren(...values.map((value) => new Option(value, value)));
  }
  if (chosen !== null && select.value !== chosen) select.value = chosen;
}

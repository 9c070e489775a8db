// SPDX-License-Identifier: Apache-2.0
// What a browser has to have. Without WebGL the robot runs unseen; without the rest it does not run.

export function hasWebGl(): boolean {
  return document.createElement('canvas').getContext('webgl2') !== null;
}

/** One sentence that names what is missing, or null. */
export function missingFeature(scope: Readonly<Record<string, unknown>> = globalThis as never): string | null {
  const missing = [
    ['WebAssembly', 'WebAssembly'],
    ['Worker', 'Web Workers'],
    ['DecompressionStream', 'DecompressionStream'],
  ].filter(([name = '']) => scope[name] === undefined);
  if (missing.length === 0) return null;
  const names = missing.map(([, name]) => name).join(' and ');
  return `This browser has no ${names}, which the simulation needs. A current Chrome, Edge, Firefox or Safari has it; privacy settings and lockdown modes may take it away.`;
}

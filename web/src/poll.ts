// SPDX-License-Identifier: Apache-2.0

/** Run `task` again and again, `periodMs` after its last end, never twice at once; rest while the page is hidden. */
export function poll(task: () => Promise<void>, periodMs: number): void {
  const run = async (): Promise<void> => {
    try {
      if (!document.hidden) await task();
    } finally {
      window.setTimeout(() => void run(), periodMs);
    }
  };
  void run();
}

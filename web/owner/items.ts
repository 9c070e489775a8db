// SPDX-License-Identifier: Apache-2.0
// What is published, as the catalog tells it; whatever is missing reads as absent.

import { ownPath } from '../pages/link';
import { asList, asNumber, asObject, asText } from '../src/json';

export interface Published {
  ref: string;
  title: string;
  description: string;
  status: string;
  version: number;
  updatedAt: string;
  /** Path of a picture on this site. */
  previewPath: string | null;
  /** A policy's own robot and scene; empty for anything else. */
  robotRef: string;
  sceneRef: string;
  /** What a session calls a checkpoint, and what kind of policy that is; empty for anything else. */
  policyPath: string;
  policyType: string;
}

export function readItems(answer: unknown): Published[] {
  return asList(asObject(answer)['items']).map(readItem).filter((item) => item.ref);
}

function readItem(value: unknown): Published {
  const item = asObject(value);
  const preview = asText(item['previewUrl']);
  const ref = asText(item['ref']);
  return {
    ref,
    title: asText(item['title']) || ref,
    description: asText(item['description']),
    status: asText(item['status']),
    version: asNumber(item['version']) ?? 1,
    updatedAt: asText(item['updatedAt']),
    previewPath: preview ? ownPath(preview) : null,
    robotRef: asText(item['defaultRobotRef']),
    sceneRef: asText(item['defaultSceneRef']),
    policyPath: asText(item['policyPath']),
    policyType: asText(item['policyType']),
  };
}

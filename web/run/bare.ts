// SPDX-License-Identifier: Apache-2.0

/**
 * A page that frames this one has a bar and a pad of its own, and may compare what runs blind: nothing is shown then that
 * tells one policy from another by anything but what the robot does.
 */
export const isBare = window.location.hash === '#bare';

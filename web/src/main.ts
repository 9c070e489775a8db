// SPDX-License-Identifier: Apache-2.0
// Puts the page together: bridge → model → views.

import 'uplot/dist/uPlot.min.css';
import './style/base.css';
import './style/bar.css';
import './style/login.css';
import './style/page.css';
import { App } from './app';

new App().run();

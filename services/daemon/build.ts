// What this build is. scripts/bundle.mjs replaces both expressions.
import type { BuildInfo } from '../version/service.ts';

export const BUILD: BuildInfo = {
  version: process.env.DAVIT_VERSION ?? '0.0.0-dev',
  revision: process.env.DAVIT_REVISION ?? '',
};

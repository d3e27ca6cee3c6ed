// What this build is; the release script writes the revision.
import type { BuildInfo } from '../version/service.ts';

export const BUILD: BuildInfo = { version: '0.1.0', revision: process.env['DAVIT_REVISION'] ?? '' };

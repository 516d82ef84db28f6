/** What the CPU operations promise, on every engine. */

import { hostConformance } from './host-adapter.ts';
import { describeOperations } from './operation-suite.ts';
import { stepConformance } from './step-adapter.ts';
import { virtualConformance } from './virtual-adapter.ts';

describeOperations(stepConformance, 50);
describeOperations(virtualConformance, 5);
describeOperations(hostConformance, 3);

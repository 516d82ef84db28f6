/** The CPU operations on every engine that needs no machine profile. */

import { hostConformance } from './host-adapter.ts';
import { describeOperations } from './operation-suite.ts';
import { stepConformance } from './step-adapter.ts';

describeOperations(stepConformance, 50);
describeOperations(hostConformance, 3);

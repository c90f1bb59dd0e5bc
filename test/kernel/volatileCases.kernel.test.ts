import { loadVolatileCases } from '../spec/pageCases.ts';
import { holdCasesOnKernel } from './heldCases.ts';

holdCasesOnKernel('what volatile ranges became', loadVolatileCases());
